from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from imgclf.machine.startup import silenced_stderr

if TYPE_CHECKING:
    import pytest


def test_two_threads_may_silence_standard_error_at_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It speaks again once the last of them is done, whoever began first."""
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first() -> None:
        with silenced_stderr():
            first_is_in.set()
            second_is_in.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with silenced_stderr():
        second_is_in.set()
        thread.join()
        os.write(2, b"still silent\n")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"
