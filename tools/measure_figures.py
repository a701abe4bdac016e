"""Measures what a user meets, and writes it into README, start page and performance page.

Usage: python tools/measure_figures.py DATA [--seeds 3] [--budget 2m]
       python tools/measure_figures.py --write

DATA is a folder `cats_dogs` with train/ and val/, one sub-folder per class each. The commands are
those that a user types, each in a process of its own and with an empty cache. Takes about eight
minutes on two cores; run it on a machine that does nothing else, from a clean checkout. The
figures are kept in docs/figures.json, with machine and commit; --write puts them into the pages
again without measuring. PyTorch is compared where it is installed; the old recipe needs SciPy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs/figures.json"
FEW = 20
"""Photos of each class in the small training."""

WAYS = {
    "recipe": "the old recipe: `ImageDataGenerator`, `flow_from_directory`",
    "torch": "PyTorch and torchvision, two workers, channels last",
    "keras": "Keras today: `image_dataset_from_directory`, augmentation layers",
    "imgclf": "imgclf",
}


def main() -> None:
    """Measure, unless only the pages are to be written, and write the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="2m", help="Of the network from random weights.")
    parser.add_argument("--write", action="store_true", help="Measure nothing.")
    arguments = parser.parse_args()
    if not arguments.write:
        if arguments.data is None:
            parser.error("give the folder cats_dogs, or --write.")
        measured = measure(arguments.data.resolve(), arguments.seeds, arguments.budget)
        FIGURES.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    write_pages(json.loads(FIGURES.read_text(encoding="utf-8")))


# --- Measuring --------------------------------------------------------------------------------


def measure(data: Path, seeds: int, budget: str) -> dict[str, Any]:
    """Run every command; the order is that of the table."""
    figures: dict[str, Any] = {"machine": machine(), "commit": commit()}
    figures["num_train"], figures["num_test"] = (
        count_photos(data / name) for name in ("train", "val")
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        test = ["--test", str(data / "val")]
        figures["all"] = [
            train(place / f"all-{seed}", [str(data / "train"), *test, "--seed", str(seed)])
            for seed in range(seeds)
        ]
        figures["few"] = [
            train(place / f"few-{seed}", [str(draw(data / "train", place, seed)), *test])
            for seed in range(seeds)
        ]
        classifier, photo = place / "all-0", next((data / "val").glob("*/*"))
        figures["one_photo_s"] = [answer(classifier, photo, place) for _ in range(3)]
        figures["all_photos_s"] = [answer(classifier, data / "val", place) for _ in range(3)]
        scratch = ["--arch", "resnet9", "--budget", budget]
        figures["scratch"] = train(place / "scratch", [str(data / "train"), *test, *scratch])
        figures["budget"] = budget
    figures["epoch_s"] = time_epochs(data)
    return figures


def train(run: Path, words: list[str]) -> dict[str, float]:
    """Train as a user does; return accuracy, seconds, and seconds to the first classifier."""
    began_s, first_s = time.monotonic(), None
    command = imgclf("train", *words, "--run-dir", str(run))
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as told:
        environment = {**os.environ, "IMGCLF_CACHE_DIR": cache}
        with subprocess.Popen(command, env=environment, stdout=told, stderr=told) as process:  # noqa: S603
            while process.poll() is None:
                if first_s is None and (run / "model.imgclf").exists():
                    first_s = time.monotonic() - began_s
                time.sleep(0.05)
        seconds = time.monotonic() - began_s
        if process.returncode:
            told.seek(0)
            sys.exit(told.read().decode())
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    figures = {
        "accuracy": record["evaluation"]["accuracy"],
        "seconds": round(seconds, 1),
        "first_s": round(seconds if first_s is None else first_s, 1),
    }
    print(" ".join(words), figures, flush=True)
    return figures


def draw(source: Path, place: Path, seed: int) -> Path:
    """Link some photos of each class into a folder."""
    target = place / f"draw-{seed}"
    for class_folder in sorted(source.iterdir()):
        (target / class_folder.name).mkdir(parents=True)
        photos = sorted(class_folder.iterdir())
        for photo in random.Random(seed).sample(photos, FEW):
            (target / class_folder.name / photo.name).symlink_to(photo)
    return target


def answer(classifier: Path, photos: Path, place: Path) -> float:
    """Return the seconds of a prediction, from the command to its end."""
    began_s = time.monotonic()
    subprocess.run(  # noqa: S603
        imgclf("predict", str(classifier), str(photos), "--csv"),
        check=True, stdout=subprocess.DEVNULL, cwd=place,
    )  # fmt: skip
    return round(time.monotonic() - began_s, 2)


def time_epochs(data: Path) -> dict[str, float]:
    """Return the seconds per epoch of each way of writing the same training."""
    command = [sys.executable, str(ROOT / "benchmarks/epoch_time.py"), str(data)]
    done = subprocess.run(  # noqa: S603
        [*command, "--rounds", "1", "--epochs", "3"], check=True, stdout=subprocess.PIPE, text=True
    )
    print(done.stdout, flush=True)
    rows = re.findall(rf"^({'|'.join(WAYS)})\s+([\d.]+)", done.stdout, re.MULTILINE)
    return {way: float(seconds) for way, seconds in rows}


def imgclf(*words: str) -> list[str]:
    """Return a command of the imgclf that this Python has."""
    return [sys.executable, "-m", "imgclf", *words]


def count_photos(folder: Path) -> int:
    """Return the number of files in the class folders."""
    return sum(1 for path in folder.glob("*/*") if path.is_file())


def machine() -> str:
    """Name the processor, what it has for networks, and its cores."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    name = re.sub(
        r"\((?:R|TM)\)| Processor| CPU.*", "", found[1] if found else "a processor"
    ).strip()
    features = {"amx_bf16": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}
    best = next((features[flag] for flag in features if f" {flag} " in text), "")
    return f"{len(os.sched_getaffinity(0))} cores of an {name}{f' with {best}' if best else ''}"


def commit() -> str:
    """Name the commit and its date; a changed checkout is named as such."""

    def ask(*words: str) -> str:
        return subprocess.run(  # noqa: S603
            [shutil.which("git") or "git", *words],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.strip()

    changed = " with changes" if ask("status", "--porcelain", "--untracked-files=no") else ""
    return ask("log", "-1", "--format=%h of %cs") + changed


# --- Writing ----------------------------------------------------------------------------------


def write_pages(figures: Mapping[str, Any]) -> None:
    """Write every block between its markers."""
    for page, text in pages(figures).items():
        page.write_text(text, encoding="utf-8")


def pages(figures: Mapping[str, Any]) -> dict[Path, str]:
    """Return each page with its blocks of figures."""
    written = {}
    for name in ("README.md", "docs/index.md", "docs/performance.md"):
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        for block, content in blocks(figures, name).items():
            text = re.sub(
                rf"(<!-- measured: {block} -->\n).*?(<!-- measured: end -->)",
                lambda found, new=content: f"{found[1]}{new}\n{found[2]}",
                text,
                flags=re.DOTALL,
            )
        written[page] = text
    return written


def blocks(figures: Mapping[str, Any], page: str) -> dict[str, str]:
    """Return the blocks of a page by their names."""
    place = {"README.md": "docs/performance.md", "docs/index.md": "performance.md"}.get(page, "")
    return {
        "headline": headline(figures, f"{place}#what-you-meet"),
        "photos": photo_table(figures),
        "epochs": epoch_table(figures),
    }


def headline(figures: Mapping[str, Any], more: str) -> str:
    """Return the one figure of the first screen."""
    accuracy, seconds, _ = summary(figures["all"])
    return (
        f"**{accuracy} right after {seconds} seconds**, on {figures['num_test']} photos of cats "
        f"and dogs that it had never seen.\nIt learned from {figures['num_train']:,} others, "
        f"on {figures['machine'].partition(' cores')[0]} processor cores. "
        f"[How this was measured]({more})"
    )


def photo_table(figures: Mapping[str, Any]) -> str:
    """Return what a user meets, as a table."""
    num_train, num_test = figures["num_train"], figures["num_test"]
    accuracy, seconds, first = summary(figures["all"])
    cells = [
        (
            f"{num_train:,} photos of cats and dogs, {num_test} others to measure on",
            "right",
            "time",
        ),
        ("---", "---:", "---:"),
        ("`imgclf train cats_dogs/train --test cats_dogs/val`", accuracy, f"{seconds} s"),
        ("until the first classifier is saved", "", f"{first} s"),
    ]
    if "few" in figures:
        few, few_seconds, _ = summary(figures["few"])
        cells.append(
            (f"the same command, from {FEW} photos of each class", few, f"{few_seconds} s")
        )
    if "scratch" in figures:
        scratch, scratch_seconds, _ = summary([figures["scratch"]])
        label = (
            f"the same command, `--arch resnet9 --budget {figures['budget']}`, from random weights"
        )
        cells.append((label, scratch, f"{scratch_seconds} s"))
    one, many = (statistics.median(figures[name]) for name in ("one_photo_s", "all_photos_s"))
    cells.append(("`imgclf predict runs/last photo.jpg`", "", f"{one:.1f} s"))
    cells.append((f"the same, {num_test} photos", "", f"{many:.1f} s"))
    rows = [f"| {' | '.join(row)} |" for row in cells]
    each = ", ".join(f"{100 * run['accuracy']:.1f}" for run in figures["all"])
    means = f"The first row is the mean of {len(figures['all'])} seeds ({each})"
    told = f"{means}; times are of the whole command."
    return "\n".join([*rows, "", told, conditions(figures, "photos")])


def epoch_table(figures: Mapping[str, Any]) -> str:
    """Return the seconds of an epoch, written in several ways."""
    seconds = figures["epoch_s"]
    rows = ["| way | seconds per epoch | imgclf is |", "|---|---:|---:|"]
    for way, label in WAYS.items():
        if way in seconds:
            times = (
                f"{seconds[way] / seconds['imgclf']:.1f} times as fast" if way != "imgclf" else ""
            )
            rows.append(f"| {label} | {seconds[way]:.1f} | {times} |")
    return "\n".join([*rows, "", conditions(figures, "epochs")])


def conditions(figures: Mapping[str, Any], table: str) -> str:
    """Name machine, commit and command; figures from elsewhere say their own."""
    measured = (
        f"{figures['machine']}, imgclf at commit {figures['commit']}: "
        "`python tools/measure_figures.py cats_dogs`."
    )
    return str(figures.get("conditions", {}).get(table, measured))


def summary(runs: list[dict[str, float]]) -> tuple[str, str, str]:
    """Return mean accuracy, and the medians of both times, as texts."""
    accuracy = statistics.mean(run["accuracy"] for run in runs)
    seconds, first = (
        statistics.median(run[name] for run in runs) for name in ("seconds", "first_s")
    )
    return f"{100 * accuracy:.1f}%", f"{seconds:.0f}", f"{first:.0f}"


if __name__ == "__main__":
    main()
