"""Names and texts that a stranger chose, all along the command line: none steers the terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.test_first_contact import in_terminal
from conftest import Run, write_images
from plugin_folders import SOUND_PLUGIN, install
from sealed_bundles import forge

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What the command line itself may send to a terminal: colours, and moves of the cursor."""

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp\x9b5m [red]x[/] :cat:"
CLASS = "[red]dark[/] :cat: $(touch ran)"
"""A folder's name can hold no control characters: those are refused."""

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def hostile_folder(tmp_path: Path) -> Path:
    """Return a folder of two classes whose own name and files' names are hostile."""
    root = write_images(tmp_path / f"pho tos{HOSTILE.replace('/', '')}", {CLASS: 24, "light": 24})
    (root / CLASS / f"{HOSTILE.replace('/', '')}\n.png").touch()
    shutil.copy(root / CLASS / "000.png", root / "light" / "copy\x1b[31m\u202e.png")
    (root / "beside\x1b[5m.png").touch()
    return root


def assert_harmless(*texts: str) -> None:
    """Check that nothing in what was printed steers a terminal."""
    for text in texts:
        found = STEERING.search(text)
        assert found is None, (found, text)


def test_check_shows_hostile_names(imgclf_command: Run, hostile_folder: Path) -> None:
    """Files' names are written out in the table and the findings; JSON has them as they are."""
    done = imgclf_command("check", hostile_folder, "--image-size", "16")
    assert_harmless(done.stdout, done.stderr)
    assert "[red]dark[/] :cat: $(touch ran)" in " ".join(done.stdout.split())
    assert r"beside\x1b[5m.png" in done.stdout
    done = imgclf_command("check", hostile_folder, "--image-size", "16", "--json")
    assert_harmless(done.stdout)
    report = json.loads(done.stdout)
    assert report["directory"] == str(hostile_folder)
    examples = [text for finding in report["findings"] for text in finding["examples"]]
    assert "beside\x1b[5m.png" in examples


def test_a_terminal_gets_only_our_own_sequences(hostile_folder: Path) -> None:
    """On a terminal there are colours and bars, which are ours, and nothing of a name's."""
    shown = in_terminal("check", hostile_folder, "--image-size", "16", columns=200)
    assert "\x1b[" in shown
    assert_harmless(OURS.sub("", shown))
    assert "owned" not in "".join(re.findall(r"\x1b\](.*?)\x07", shown))


def test_a_path_is_no_formula(bundle: Path, two_classes: Path, tmp_path: Path,
                             imgclf_command: Run) -> None:  # fmt: skip
    """In CSV output, a file whose name a spreadsheet would run is written as ./name."""
    names = ("=cmd|calc.png", "+1.png", "-1.png", "@x.png")
    for name in names:
        shutil.copy(two_classes / "dark" / "000.png", tmp_path / name)
    done = imgclf_command("predict", "--csv", bundle, "--", *names, cwd=tmp_path)
    paths = [row["path"] for row in csv.DictReader(io.StringIO(done.stdout))]
    assert len(paths) == 4
    assert all(path.startswith("./") and (tmp_path / path).is_file() for path in paths)


def test_what_is_to_be_typed_next_is_quoted(imgclf_command: Run, tmp_path: Path) -> None:
    """`Next:` names a folder so that a shell takes it for one word, whatever it is called."""
    name = "-photos; touch ran; $(touch ran)"
    write_images(tmp_path / name, {"dark": 24, "light": 24})
    done = imgclf_command("check", "--image-size", "16", "--", name, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    command = done.stdout.rpartition("Next: imgclf train ")[2].strip()
    words = ["bash", "-c", f"printf '%s\\n' {command}"]
    typed = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert typed.stdout == f"./{name}\n"
    assert not (tmp_path / "ran").exists()


def test_errors_are_one_harmless_line(imgclf_command: Run, tmp_path: Path) -> None:
    """A path in an error is written out, ends of lines too: nobody can forge a second message."""
    for verb in ("check", "train", "report", "info"):
        done = imgclf_command(verb, tmp_path / f"a\nError: {HOSTILE}")
        assert done.returncode == 1
        assert_harmless(done.stderr)
        assert done.stderr.startswith("Error:")
        assert len(done.stderr.splitlines()) == 1
    done = imgclf_command("check", f"--{HOSTILE}", HOSTILE)
    assert done.returncode == 2
    assert_harmless(done.stderr)


def test_a_bug_is_told_harmlessly() -> None:
    """Also a traceback, which names whatever was at hand, is written out."""
    code = (
        "import imgclf.data.checks.data_report as checking\n"
        "def look(*_a, **_k): raise RuntimeError('\\x1b]0;owned\\x07')\n"
        "checking.check = look\n"
        "from imgclf.cli.main import run; run()"
    )
    words = [sys.executable, "-c", code, "check", "x"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert_harmless(done.stderr)
    assert r"RuntimeError: \x1b]0;owned\x07" in done.stderr


def test_plugins_cannot_steer_with_their_metadata(imgclf_command: Run, tmp_path: Path) -> None:
    """What names itself strangely is left out in one readable line, whatever else it says."""
    source = SOUND_PLUGIN.format(name="net").replace("A sound", f"{HOSTILE} [bold]A sound")
    choice = f"mode: Annotated[Literal[{HOSTILE!r}], Choice()] = {HOSTILE!r}"
    source = source.replace("Int(2, 64)] = 8", f"Int(2, 64)] = 8, {choice}")
    source = source.replace("import Int", "import Choice, Int").replace("Annotated\n", "*\n", 1)
    folder = install(
        tmp_path / "site", "evil", source, version="1.0[red]",
        architectures={"net": "net", "a\x1b[31m": "net", "resnet9": "net"},
    )  # fmt: skip
    (folder / "evil-1.0[red].dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: ev{HOSTILE}\nVersion: 1\x1b[5m\n"
    )
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    for arguments, code in ((("list",), 0), (("show", "net"), 1), (("list", "--json"), 0)):
        done = imgclf_command("architectures", *arguments, **paths)
        assert done.returncode == code, done.stderr
        assert_harmless(done.stdout, done.stderr)
        assert "resnet9" in done.stdout + done.stderr
        assert "is left out" in done.stderr
    assert not {"net", "a\x1b[31m"} & set(json.loads(done.stdout))
    completed = imgclf_command(
        _IMGCLF_COMPLETE="complete_bash",
        COMP_WORDS="imgclf train x --arch ",
        COMP_CWORD="4",
        **paths,
    )
    assert_harmless(completed.stdout)


def test_predictions_name_hostile_files(imgclf_command: Run, bundle: Path, tmp_path: Path) -> None:
    """Table, messages and CSV: a name is written out on a terminal and true in a pipe's data."""
    image, broken = tmp_path / "a\x1b[31m\u202e.png", tmp_path / "broken\x1b[2J.png"
    write_images(tmp_path, {"x": 1})
    shutil.move(tmp_path / "x" / "000.png", image)
    broken.write_bytes(b"no image")
    done = imgclf_command("predict", bundle, image, broken)
    assert_harmless(done.stdout, done.stderr)
    assert r"a\x1b[31m\u202e.png" in "".join(done.stdout.split())
    done = imgclf_command("predict", bundle, image, "--json")
    assert_harmless(done.stdout)
    assert json.loads(done.stdout)[0]["path"] == str(image)
    done = imgclf_command("predict", bundle, image, "--csv")
    row = next(iter(csv.DictReader(io.StringIO(done.stdout))))
    assert row["path"] == str(image)
    assert_harmless(OURS.sub("", in_terminal("predict", bundle, image, "--csv")))


def test_a_classifiers_texts_are_harmless(
    imgclf_command: Run, bundle: Path, tmp_path: Path
) -> None:
    """`info` shows what a file says of itself, or refuses it: neither steers the terminal."""
    changes: list[Change] = [
        lambda manifest: manifest.update(created=HOSTILE),
        lambda manifest: manifest["versions"].update(keras=HOSTILE),
        lambda manifest: manifest["architecture"].update(name=HOSTILE, distribution=HOSTILE),
        lambda manifest: manifest.update(class_names=[HOSTILE, "light"]),
    ]
    for number, change in enumerate(changes):
        path = forge(bundle, tmp_path / f"{number}.imgclf", change)
        done = imgclf_command("info", path)
        assert done.returncode in (0, 1), done.stderr
        assert_harmless(done.stdout, done.stderr)
