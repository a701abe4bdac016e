"""Lending the batches of a dataset of this process to another one, a pass at a time."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.errors import DataError

__all__ = ["borrowed_batches", "lent_dataset"]

LAST_WORDS_S = 5.0
"""How long a pass may take to notice that nobody reads it any more."""


@contextlib.contextmanager
def lent_dataset(dataset: tf.data.Dataset, folder: Path) -> Iterator[str]:
    """Let other processes of this machine iterate over a dataset that cannot leave this one.

    A dataset does not pickle and may run Python of the caller. Each connection is one pass: it is
    shuffled and varied anew, as the caller has made it.

    Args:
        dataset: Batches of ``(images, labels)``.
        folder: A folder that only this user may enter; the socket lies in it.

    Yields:
        The socket's path, for `borrowed_batches`.
    """
    path = folder / "batches.sock"
    passes: list[tuple[threading.Thread, socket.socket]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        accepting = threading.Thread(target=_accept, args=(listener, dataset, passes), daemon=True)
        accepting.start()
        try:
            yield str(path)
        finally:
            # Closing alone would not wake the thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread, connection in passes:
                with contextlib.suppress(OSError):  # Most passes have ended long ago.
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join(LAST_WORDS_S)


def borrowed_batches(address: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the batches of one pass over a dataset that another process lends.

    Args:
        address: What `lent_dataset` gave.

    Yields:
        Images and labels, as the dataset has them.

    Raises:
        DataError: The dataset failed, or its process has gone.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        with connection.makefile("rb") as stream:
            while header := _read_header(stream):
                images, labels = (_read_array(stream, *item) for item in header)
                yield images, labels


def _accept(
    listener: socket.socket,
    dataset: tf.data.Dataset,
    passes: list[tuple[threading.Thread, socket.socket]],
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # The lending is over.
            return
        passes[:] = [item for item in passes if item[0].is_alive()]
        thread = threading.Thread(target=_send_pass, args=(connection, dataset), daemon=True)
        passes.append((thread, connection))
        thread.start()


def _send_pass(connection: socket.socket, dataset: tf.data.Dataset) -> None:
    # A trial that has ended early, or was killed, does not read its pass to the end.
    with connection, contextlib.suppress(ConnectionError):
        try:
            for images, labels in dataset:
                _send(connection, images.numpy(), labels.numpy())
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the caller's own code raises
            message = f"{type(error).__name__}: {error}"
            connection.sendall(json.dumps({"error": message}).encode() + b"\n")
        else:
            connection.sendall(b"[]\n")


def _send(connection: socket.socket, *arrays: NDArray[Any]) -> None:
    header = [[array.dtype.str, array.shape] for array in arrays]
    connection.sendall(json.dumps(header).encode() + b"\n")
    for array in arrays:
        connection.sendall(np.ascontiguousarray(array).data)


def _read_header(stream: BufferedReader) -> list[tuple[str, list[int]]]:
    """Read what comes next: the types and shapes of two arrays; nothing at the end of a pass."""
    line = stream.readline()
    if not line:
        raise DataError("The process that holds the training dataset has gone.")
    header = json.loads(line)
    if isinstance(header, dict):
        raise DataError(f"The training dataset failed: {header['error']}")
    return [(dtype, shape) for dtype, shape in header]


def _read_array(stream: BufferedReader, dtype: str, shape: list[int]) -> NDArray[Any]:
    array = np.empty(shape, np.dtype(dtype))
    # Zero-sized views cannot be cast; an empty batch has nothing to read anyway.
    if array.size and stream.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise DataError("The process that holds the training dataset has gone.")
    return array
