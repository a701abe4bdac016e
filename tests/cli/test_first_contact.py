"""The first minute in a terminal: what to do next, help, completion, width, colours."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

from conftest import Run
from imgclf.cli.main import app


def verbs(command: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """List all commands of the real command line, groups included."""
    found = {path: command}
    for name, inner in getattr(command, "commands", {}).items():
        found |= verbs(inner, (*path, name))
    return found


VERBS = verbs(typer.main.get_command(app))


def in_terminal(*arguments: object, columns: int = 80, **env: str) -> str:
    """Run the command on a terminal of its own and return all that it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from imgclf.cli.main import run; run()", *map(str, arguments)],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **env},
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other side is closed: all is read
            break
    process.wait()
    os.close(ours)
    return shown.decode()


def test_alone_it_says_what_to_do_next(imgclf_command: Run) -> None:
    """`imgclf` without arguments names the first commands on a few lines, with exit code 0."""
    done = imgclf_command()
    assert done.returncode == 0
    for part in ("imgclf demo", "imgclf check FOLDER", "imgclf train FOLDER", "--help"):
        assert part in done.stdout
    assert len(done.stdout.splitlines()) <= 10
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("group", ["cache", "architectures"])
def test_a_group_alone_shows_its_help(group: str, imgclf_command: Run) -> None:
    """A group without a verb shows its verbs and nothing else; what is missing is named."""
    done = imgclf_command(group)
    assert f"Usage: imgclf {group} COMMAND" in done.stdout
    assert not done.stderr
    assert done.returncode == 2
    missing = imgclf_command("shard", "photos")
    assert "Error: Missing argument 'OUT'" in missing.stderr
    assert missing.returncode == 2


def test_a_mistyped_command_is_told_in_one_line_with_its_usage(imgclf_command: Run) -> None:
    """What is wrong stands in one line, below it the usage as the help has it; exit code 2."""
    done = imgclf_command("tune", "photos", "--strategy", "guess")
    assert done.returncode == 2
    error, usage, more = done.stderr.splitlines()
    assert error == (
        "Error: --strategy: 'guess' is not one of 'random', 'bayesian', 'hyperband', 'grid'."
    )
    assert usage == "Usage: imgclf tune DIR [OPTIONS]"
    assert more == "Help: imgclf tune --help"


@pytest.mark.parametrize("path", [path for path in VERBS if path], ids=" ".join)
def test_every_verb_has_a_summary_and_an_example(path: tuple[str, ...]) -> None:
    """`--help` of each command says in one line what it does, and shows one that can be typed."""
    command = VERBS[path]
    text = f"{getattr(command, 'help', '')} {getattr(command, 'epilog', '') or ''}"
    example = re.search(r"Example: `imgclf ([^`]+)`", text)
    assert example, path
    assert example[1].split()[:1] == [path[0]]


@pytest.mark.parametrize("path", VERBS, ids=lambda path: " ".join(path) or "imgclf")
def test_help_fits_80_columns(path: tuple[str, ...]) -> None:
    """The help of every command, on the narrowest usual terminal, with its example whole."""
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "[[" not in done.stdout  # a bracket of ours in a bracket of Typer's
    assert re.search(r"Example: imgclf|Begin with: imgclf", done.stdout)


def helped(*arguments: str) -> str:
    """Return what a verb's help shows at 80 columns."""
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "80", "NO_COLOR": "1"}).stdout


def test_the_help_of_train_fits_a_screen_and_names_the_rest() -> None:
    """`train --help` shows the ten common options with their defaults, and how to see all."""
    lines = helped("train", "--help").splitlines()
    assert len(lines) <= 34
    shown = " ".join(" ".join(lines).split())
    for flag in ("--arch", "--set", "--recipe", "--budget", "--epochs", "--image-size", "--val",
                 "--test", "--run-dir", "--settings"):  # fmt: skip
        assert re.search(rf"{flag}[, ]", shown), flag
    assert "Default: 40 for 1,000 images, fewer for more." in shown
    assert "more options:" in shown
    assert "--mixup" not in shown


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_help_all_shows_every_option(verb: str) -> None:
    """`--help-all` leaves no option out, and says nothing of Python's types."""
    shown = helped(verb, "--help-all")
    for parameter in VERBS[(verb,)].params:  # type: ignore[attr-defined]
        if parameter.param_type_name == "option":
            flag = parameter.opts[0]
            assert flag in shown or f"--[no-]{flag.removeprefix('--')}" in shown, flag
    assert not re.search(r"<\w+|\[default|\[required|range", shown)


@pytest.mark.parametrize("path", [path for path in VERBS if path], ids=" ".join)
def test_every_value_has_a_name(path: tuple[str, ...]) -> None:
    """Help calls the value of each option by a word of ours, not by a type of Python."""
    for parameter in getattr(VERBS[path], "params", []):
        if parameter.param_type_name == "option" and not parameter.is_flag:
            assert parameter.metavar, parameter.name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("imgclf train photos --arch res", {"resnet9", "resnet20", "resnet_v2"}),
        ("imgclf architectures show three", {"three_conv"}),
        ("imgclf tune photos --arch resnet9,conv", {"resnet9,convmixer", "resnet9,convnext"}),
        ("imgclf do", {"doctor"}),
    ],
)
def test_the_shell_completes_verbs_and_architectures(words: str, expected: set[str]) -> None:
    """Completion knows the installed architectures and loads no heavy library for it."""
    script = (
        "import sys\nsys.argv = ['imgclf']\nfrom imgclf.cli.main import run\n"
        "try:\n    run()\nfinally:\n"
        "    heavy = {'tensorflow', 'keras', 'numpy', 'PIL'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            **os.environ,
            "_IMGCLF_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert set(done.stdout.split()) == expected
    assert "HEAVY []" in done.stderr


def test_colours_only_where_they_are_wanted() -> None:
    """A terminal gets colours; NO_COLOR=1 takes all colours away, also from errors and help."""
    assert "\x1b[1;31m" in in_terminal("train", "missing")
    for arguments in (("train", "missing"), ("train", "--help"), ("architectures", "list")):
        plain = in_terminal(*arguments, NO_COLOR="1")
        colours = re.findall(r"\x1b\[[0-9;]*\b(?:3[0-7]|9[0-7]|38)(?=[;m])[0-9;]*m", plain)
        assert colours == []


def test_a_signal_that_c_code_met_stops_in_good_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extension modules wrap what a signal's handler raises: it is no bug, and keeps its code."""
    from imgclf.cli import main
    from imgclf.cli._signals import Stopped

    def interrupted(**_: object) -> None:
        raise SystemError("returned a result with an exception set") from Stopped(130)

    monkeypatch.setattr(main, "make_app", lambda _verbs: interrupted)
    monkeypatch.setattr(main, "install_handlers", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "Stopped."
