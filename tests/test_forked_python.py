"""A forked process is a process of its own: streams, folder, environment, signals, exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forked_python import ForkedPython
from plugin_folders import install

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
    for name in ("KERAS_BACKEND", "PYTHONHASHSEED", "TF_NUM_INTRAOP_THREADS"):
        env = {**os.environ, name: "1"}
        assert not forked_python.can_start(env)
        with pytest.raises(AssertionError, match=f"{name} needs a fresh process"):
            forked_python.run("", env=env)


def test_folders_in_front_of_the_path_are_looked_into(
    forked_python: ForkedPython, tmp_path: Path
) -> None:
    """A module and an installed distribution are found where PYTHONPATH says, and only there."""
    install(tmp_path, "forked-nets", "")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    assert forked_python.can_start(env)
    code = "import imgclf, forked_nets\nprint('forked_nets' in imgclf.list_architectures())"
    assert forked_python.run(code, env=env).stdout == "True\n"
    assert "No module named 'forked_nets'" in forked_python.run(code).stderr
    moved = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert forked_python.can_start(moved) is not bool(os.environ.get("PYTHONPATH"))


def test_the_process_of_trials_is_a_child_that_ends_with_who_stands_for_it(
    forked_python: ForkedPython,
) -> None:
    """`executable` runs trials in a fork, which SIGKILL ends; it is Python for all else."""
    words = [forked_python.executable, "-c", "import sys; print(sys.argv)", "a b"]
    assert (
        subprocess.run(words, capture_output=True, text=True, check=True).stdout
        == "['-c', 'a b']\n"
    )
    words = [forked_python.executable, "-P", "-m", "imgclf.tuning.trial_server"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for killed in (True, False):
        with subprocess.Popen(
            words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert json.loads(process.stdout.readline()) == {"ready": True}
            process.kill() if killed else process.stdin.close()
            assert process.stdout.read() == b""  # only the end of the child closes it
            assert process.wait(30) == (-signal.SIGKILL if killed else 0)
