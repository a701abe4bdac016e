"""Kills trainings while they write their end, completes each, and tells what came of it.

Its arguments are FOLDER WORK KILLS SEED FIRST; kills begin once the file FIRST
of the end is there. Prints one JSON object. It is a script of its own because the parent must have
imported TensorFlow and run no operation when it forks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from imgclf.workflow.training import Settings, resume_training, run_training
from workflow.run_ends import END, figures, report, require_whole, without_end

SETTINGS = Settings(
    architecture="one_hidden",
    options={"filters": 8, "hidden_units": 8},
    image_size=(24, 24),
    epochs=2,
    batch_size=16,
)
MOST_DELAY_S = 0.03
"""How long after a file appears the kill may fall."""


def start(task: Callable[[], Any], errors: Path) -> int:
    """Do something in a child; return its process id."""
    child = os.fork()
    if child:
        return child
    try:
        task()
    except BaseException:  # noqa: BLE001 - told to the parent, then gone
        errors.write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def finish(task: Callable[[], Any], errors: Path) -> None:
    """Do something in a child, and wait for it."""
    _, status = os.waitpid(start(task, errors), 0)
    if status:
        raise RuntimeError(errors.read_text() if errors.exists() else f"status {status}")


def kill_in_the_end(run: Path, target: str, delay_s: float, errors: Path) -> bool:
    """Resume a run and kill it some time after a file of its end appeared; False where too late."""
    child = start(partial(resume_training, run), errors)
    while not (run / target).exists():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(errors.read_text())
            return False
        time.sleep(0.0002)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and not (run / "done").exists()


def main() -> None:
    """Train once, then kill the end of that training again and again."""
    folder, work, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    draw, targets = random.Random(int(sys.argv[4])), END[END.index(sys.argv[5]) : -1]
    work.mkdir(parents=True)
    errors, uncut = work / "error.txt", work / "uncut"
    finish(partial(run_training, folder, SETTINGS, run_dir=uncut), errors)
    whole = figures(uncut)
    killed, faults = 0, []
    last_files: Counter[str] = Counter()
    completed: Counter[str] = Counter()
    for attempt in range(4 * kills):
        if killed == kills:
            break
        run = without_end(uncut, work / f"{attempt:03}" / "run")
        # Each file in turn, so that kills fall into every gap.
        target = targets[attempt * len(targets) // kills % len(targets)]
        if not kill_in_the_end(run, target, draw.uniform(0, MOST_DELAY_S), errors):
            continue
        killed += 1
        there = [name for name in END if (run / name).exists()]
        last_files[there[-1] if there else "none"] += 1
        is_reported = killed % 2 == 0 and (run / "model.imgclf").exists()
        completed["report" if is_reported else "resume"] += 1
        try:
            finish(partial(report if is_reported else resume_training, run), errors)
            if not is_reported:  # A report holds no lock, and leaves what was being written.
                require_whole(run)
            if not (run / "done").exists():
                faults.append(f"{run}: not done")
            if figures(run) != whole:
                faults.append(f"{run}: other figures")
        except (AssertionError, RuntimeError) as error:
            faults.append(f"{run}, {there}: {error}")
    sys.stdout.write(
        json.dumps(
            {"killed": killed, "faults": faults, "last_files": last_files, "completed": completed}
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
