"""A forked process is a process of its own: streams, folder, environment, signals, exit status."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from forked_python import ForkedPython

FACTS = """
import json, os, signal, sys
print(json.dumps({
    "arguments": sys.argv[1:], "cwd": os.getcwd(), "pid": os.getpid(), "session": os.getsid(0),
    "environment": dict(os.environ), "name": __name__,
    "threads": len(os.listdir("/proc/self/task")),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    "interrupts": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
}))
print("on standard error", file=sys.stderr)
sys.exit("and out")
"""


def test_it_has_what_a_fresh_process_has(forked_python: ForkedPython, tmp_path: Path) -> None:
    """Arguments, folder, environment, streams and status are its own; no thread came with it."""
    env = {**os.environ, "IMGCLF_OF_A_TEST": "1"}
    done = forked_python.run(FACTS, "a b", 3, cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (1, "on standard error\nand out\n")
    facts = json.loads(done.stdout)
    assert facts["pid"] == facts["session"] != os.getpid()
    assert facts["environment"] == env
    assert (facts["arguments"], facts["cwd"]) == (["a b", "3"], str(tmp_path))
    assert (facts["name"], facts["threads"], facts["interrupts"]) == ("__main__", 1, True)
    assert facts["descriptors"] == [0, 1, 2]


def test_it_ends_as_a_process_ends(forked_python: ForkedPython) -> None:
    """By a status, by an error with its traceback, by a signal, and with what `atexit` says."""
    assert forked_python.run("raise SystemExit(7)").returncode == 7
    failed = forked_python.run("1 / 0")
    assert (failed.returncode, failed.stderr.splitlines()[-1]) == (
        1,
        "ZeroDivisionError: division by zero",
    )
    late = forked_python.run("import atexit\natexit.register(print, 'late')\nprint('early')")
    assert late.stdout == "early\nlate\n"
    process = forked_python.start("print('here', flush=True)\nimport time\ntime.sleep(60)")
    assert process.stdout.readline() == "here\n"
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(30)
    assert process.returncode == -signal.SIGTERM


def test_two_run_at_a_time(forked_python: ForkedPython) -> None:
    """One that waits for its input keeps no other from running."""
    first = forked_python.start("print(input())")
    assert forked_python.run("print(2)").stdout == "2\n"
    first.stdin.write("1\n")
    assert first.communicate(30) == ("1\n", "")
    assert first.returncode == 0


def test_what_is_read_at_the_start_needs_a_fresh_process(forked_python: ForkedPython) -> None:
    """Variables of Python, Keras and TensorFlow would come too late."""
    assert forked_python.can_start({**os.environ, "COLUMNS": "60"})
    for name in ("KERAS_BACKEND", "PYTHONPATH", "TF_NUM_INTRAOP_THREADS"):
        env = {**os.environ, name: "1"}
        assert not forked_python.can_start(env)
        with pytest.raises(AssertionError, match=f"{name} needs a fresh process"):
            forked_python.run("", env=env)
