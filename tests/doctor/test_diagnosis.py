"""The promises of `imgclf doctor`: true facts, and each fault with its remedy."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Run
from imgclf.cli.doctor import print_diagnosis
from imgclf.doctor import diagnosis as diagnosing
from imgclf.doctor.diagnosis import Diagnosis, diagnose
from imgclf.doctor.installation import read_packages, read_settings
from imgclf.doctor.probe import try_decoders
from imgclf.machine.hardware import Processor, cpu_flags, read_memory, read_processor
from plugin_folders import SOUND_PLUGIN, install

SOUND = {
    "tensorflow": {"backend": "tensorflow", "gpus": [], "computes": True, "precision": "float32"},
    "decoders": {"JPEG": "", "HEIC": ""},
    "plugin": {"fault": ""},
}


def diagnose_with(**found: dict[str, Any]) -> Diagnosis:
    """Diagnose this machine as if the probes had found something else."""
    return diagnose(lambda kind, *_names: {**SOUND, **found}[kind])


def texts(found: Diagnosis, severity: str) -> str:
    """Join what is wrong and what to do."""
    problems = [problem for problem in found.problems if problem.severity == severity]
    return " ".join(f"{problem.text} -> {problem.remedy}" for problem in problems)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one sound plugin and one that crashes its process."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "good-net", SOUND_PLUGIN.format(name="good_net"))
    install(folder, "bad-net", "import os\nos.abort()\n", version="2.1")
    return folder


def test_doctor_tells_facts_and_faults(imgclf_command: Run, plugins: Path, tmp_path: Path) -> None:
    """One real look: versions, decoders, cache; a plugin that crashes is named, doctor lives on."""
    done = imgclf_command(
        "doctor", "--json", PYTHONPATH=str(plugins), IMGCLF_CACHE_DIR=str(tmp_path)
    )
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert not found["healthy"]
    assert found["tensorflow"]["backend"] == "tensorflow"
    assert found["tensorflow"]["computes"]
    assert all(not found["decoders"][name] for name in ("JPEG", "PNG", "WebP", "AVIF", "TIFF"))
    assert found["cache"]["folder"] == str(tmp_path / "pixels")
    faults = {item["name"]: item["fault"] for item in found["plugins"]}
    assert faults["good_net"] == ""
    assert "SIGABRT" in faults["bad_net"]
    errors = [problem for problem in found["problems"] if problem["severity"] == "error"]
    assert [problem["text"] for problem in errors if "bad-net 2.1" in problem["text"]]


def test_a_sound_machine_is_healthy() -> None:
    """Nothing is an error where nothing is wrong; missing extras are no errors."""
    found = diagnose_with()
    assert found.healthy, found.problems
    assert found.as_dict()["healthy"] is True
    json.dumps(found.as_dict(), allow_nan=False)


def test_what_a_person_sees_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Facts, faults with remedies and the next command, on an ordinary terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    print_diagnosis(diagnose_with(decoders={"JPEG": "", "AVIF": "no codec " * 20}))
    ill = capsys.readouterr().out
    assert "AVIF no" in ill
    assert "pip install --upgrade pillow" in ill
    assert "imgclf works here" not in ill
    print_diagnosis(diagnose_with())
    well = capsys.readouterr().out
    assert "Next: imgclf demo" in well
    assert max(map(len, [*ill.splitlines(), *well.splitlines()])) <= 80


def test_a_package_of_several_extras_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """ONNX belongs to two extras: each package stands once in what a person reads."""
    print_diagnosis(diagnose_with())
    shown = " ".join(capsys.readouterr().out.split())
    extras = shown[shown.index("extras ") : shown.index("processor ")].removeprefix("extras ")
    there, _, missing = extras.strip().partition("not installed ")
    names = [entry.split()[0] for entry in there.strip().split(", ")] + missing.split(", ")
    assert len(set(names)) == len(names)
    assert {"onnx", "imgclf[onnx]"} & set(names)


@pytest.mark.parametrize(
    ("probes", "severity", "text", "remedy"),
    [
        ({"tensorflow": {"fault": "ImportError: x"}}, "error", "ImportError: x", "pip install"),
        ({"tensorflow": {"fault": diagnosing.NO_ANSWER}}, "error", "no answer", "less busy"),
        (
            {"tensorflow": {"backend": "torch", "fault": "Keras runs on 'torch'"}},
            "error", "backend 'torch'", "KERAS_BACKEND=tensorflow",
        ),
        (
            {"tensorflow": {**SOUND["tensorflow"], "computes": False}},
            "error", "wrongly", "unset TF_",
        ),
        ({"decoders": {"JPEG": "", "AVIF": "no codec"}}, "error", "AVIF", "--upgrade pillow"),
        ({"decoders": {"HEIC": "absent"}}, "note", "HEIC", "pip install pillow-heif"),
        ({"decoders": {"fault": "SIGSEGV"}}, "error", "SIGSEGV", "force-reinstall pillow"),
    ],
)  # fmt: skip
def test_each_fault_has_its_remedy(
    probes: dict[str, Any], severity: str, text: str, remedy: str
) -> None:
    """What is found wrong is said with what to do, as an error or as a note."""
    found = diagnose_with(**probes)
    assert text in texts(found, severity)
    assert remedy in texts(found, severity)
    assert found.healthy == (severity == "note")


def test_a_processor_without_avx_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's death on an old processor is explained, not shown as a signal only."""
    monkeypatch.setattr(diagnosing, "read_processor", lambda: Processor("Old", 2, ()))
    found = diagnose_with(tensorflow={"fault": "its process was ended by SIGILL"})
    assert "a processor with AVX" in texts(found, "error")


def test_places_and_switches_that_cost_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cache that cannot be written, a full disk, little memory, oneDNN off, an unseen GPU."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setattr(diagnosing, "free_bytes", lambda _folder: 10**8)
    monkeypatch.setattr(diagnosing, "read_memory", lambda: (10**9, 10**8))
    monkeypatch.setattr(diagnosing, "_has_nvidia_gpu", lambda: True)
    found = diagnose_with()
    assert "IMGCLF_CACHE_DIR" in texts(found, "error")
    notes = texts(found, "note")
    for part in ("fast kernels", "100 MB", "1.0 GB", "and-cuda"):
        assert part in notes


def test_a_missing_or_old_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A requirement that is not met is an error with the command that meets it."""
    versions = {"pillow": "9.0", "rich": None}

    def version(name: str) -> str:
        if versions.get(name, "") is None:
            raise diagnosing.PackageNotFoundError(name)
        return versions.get(name) or "999" if name in versions else real(name)

    from imgclf.doctor import installation

    real = installation.version
    monkeypatch.setattr(installation, "version", version)
    errors = texts(diagnose_with(), "error")
    assert "pillow is 9.0. -> pip install 'pillow>=" in errors
    assert "rich is missing." in errors


def test_packages_are_those_of_the_metadata() -> None:
    """Core packages and users' extras are listed, those of developers are not."""
    packages = {item.name: item for item in read_packages()}
    assert packages["keras"].fits
    assert packages["keras"].extra == ""
    assert packages["pillow-heif"].extra == "heic"
    assert "ruff" not in packages


def test_only_settings_that_matter_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of imgclf, Keras and TensorFlow are shown; a like-named stranger is not."""
    monkeypatch.setenv("IMGCLF_PLUGINS", "off")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "of Terraform")
    settings = read_settings()
    assert settings["IMGCLF_PLUGINS"] == "off"
    assert "TF_CLI_CONFIG_FILE" not in settings


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_machine_is_read_from_the_system() -> None:
    """Cores are those that this process may use; memory and features are those of /proc."""
    processor = read_processor()
    assert processor.num_cores == len(os.sched_getaffinity(0))
    assert processor.features is not None
    assert ("AVX2" in processor.features) == ("avx2" in cpu_flags())
    total, available = read_memory()
    assert total is not None
    assert available is not None
    assert 0 < available <= total


def test_decoders_are_tried_for_true() -> None:
    """Each format that Pillow can write here is read back in its colours."""
    faults = try_decoders()
    assert [name for name, fault in faults.items() if fault and name != "HEIC"] == []


def test_a_package_for_other_systems_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is required elsewhere only is not listed here."""
    stated = [
        "numpy>=1.26; sys_platform != 'nowhere'",
        "absent-elsewhere>=2; sys_platform == 'nowhere'",
        "absent-extra>=1; sys_platform != 'nowhere' and extra == 'heic'",
    ]
    monkeypatch.setattr("imgclf.doctor.installation.requires", lambda _name: stated)
    listed = {item.name: item.extra for item in read_packages()}
    assert listed == {"numpy": "", "absent-extra": "heic"}
