"""A server of dataset batches: other processes read a dataset that cannot leave this one."""

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

__all__ = ["receive_batches", "serve_dataset"]

JOIN_S = 5.0
"""How long to wait for the thread of an unfinished pass to end."""


@contextlib.contextmanager
def serve_dataset(dataset: tf.data.Dataset, folder: Path) -> Iterator[str]:
    """Serve a dataset's batches to other processes of this machine.

    A dataset cannot be pickled and may run the caller's Python code. Each connection is one pass
    over it, with its own shuffling and augmentation.

    Args:
        dataset: Batches of ``(images, labels)``.
        folder: Folder for the socket; only this user may have access to it.

    Yields:
        The socket's path, for `receive_batches`.
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
            # Closing alone does not wake a thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread, connection in passes:
                with contextlib.suppress(OSError):  # Most passes have ended already.
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join(JOIN_S)


def receive_batches(address: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the batches of one pass over a dataset that another process serves.

    Args:
        address: The socket's path, from `serve_dataset`.

    Yields:
        Images and labels, as the dataset has them.

    Raises:
        DataError: The dataset failed, or its process has ended.
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
        except OSError:  # The listener is closed.
            return
        passes[:] = [item for item in passes if item[0].is_alive()]
        thread = threading.Thread(target=_send_pass, args=(connection, dataset), daemon=True)
        passes.append((thread, connection))
        thread.start()


def _send_pass(connection: socket.socket, dataset: tf.data.Dataset) -> None:
    # A trial that stops early, or is killed, does not read its pass to the end.
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
    """Read dtype and shape of the next two arrays; an empty list at the end of the pass."""
    line = stream.readline()
    if not line:
        raise DataError("The process with the training dataset has ended.")
    header = json.loads(line)
    if isinstance(header, dict):
        raise DataError(f"The training dataset failed: {header['error']}")
    return [(dtype, shape) for dtype, shape in header]


def _read_array(stream: BufferedReader, dtype: str, shape: list[int]) -> NDArray[Any]:
    array = np.empty(shape, np.dtype(dtype))
    # Zero-sized views cannot be cast; an empty batch has nothing to read anyway.
    if array.size and stream.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise DataError("The process with the training dataset has ended.")
    return array
