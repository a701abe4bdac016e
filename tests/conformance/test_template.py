"""The promises of a new plugin: complete, installable, and the example in the repository."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import imgclf
from imgclf.classifiers.bundle import read_bundle
from imgclf.conformance.template import write_plugin
from imgclf.errors import ArgumentError
from imgclf.testing import check_architecture
from imgclf.workflow.training import Settings, run_training
from imgclf.zoo.isolation import load_function

if TYPE_CHECKING:
    from conftest import Run

EXAMPLE = Path(inspect.getfile(imgclf)).parents[2] / "examples/plugin"


def contents(folder: Path) -> dict[str, str]:
    """Read all files of a package, by their path in it, without what tools leave behind."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    ]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def pip_install(package: Path, site: Path) -> None:
    """Install a package into a folder of its own, as pip does into site-packages."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True, timeout=120)


def test_a_new_plugin_is_complete(tmp_path: Path) -> None:
    """Metadata with the entry point, one architecture, one test, a README; nothing else."""
    written = contents(write_plugin("pet_net", tmp_path / "pets"))
    assert set(written) == {
        "pyproject.toml",
        "README.md",
        "src/pet_net/__init__.py",
        "src/pet_net/architecture.py",
        "tests/test_pet_net.py",
    }
    assert 'pet_net = "pet_net.architecture:pet_net"' in written["pyproject.toml"]
    assert 'name = "pet-net"' in written["pyproject.toml"]
    assert not any("NAME" in text for text in written.values())


def test_the_example_is_what_the_command_writes(tmp_path: Path) -> None:
    """`examples/plugin` cannot go stale: it is `imgclf architectures new my_net`."""
    if not EXAMPLE.exists():
        pytest.skip("imgclf is not installed from a source folder")
    assert contents(EXAMPLE) == contents(write_plugin("my_net", tmp_path / "my_net"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Net", "'My-Net' is not accepted"),
        ("9net", "'9net' is not accepted"),
        ("class", "'class' is not accepted"),
        ("../net", "'../net' is not accepted"),
        ("resnet9", "'resnet9' is installed already"),
    ],
)
def test_an_unusable_name_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """The message says what a name may be."""
    with pytest.raises(ArgumentError) as caught:
        write_plugin(name, tmp_path / "net")
    assert message in str(caught.value)
    assert not (tmp_path / "net").exists()


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """Nothing of the user's is written over."""
    with pytest.raises(ArgumentError, match="exists already"):
        write_plugin("pet_net", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_template_keeps_the_contract(tmp_path: Path) -> None:
    """What a newcomer starts from passes the kit, tried as a plain file."""
    file = write_plugin("pet_net", tmp_path / "pets") / "src/pet_net/architecture.py"
    function = load_function(file, "pet_net")
    report = check_architecture(function, fresh_process=False, measure=False)
    assert report.passed, str(report)


def test_pip_installs_the_example_and_everything_finds_it(tmp_path: Path) -> None:
    """Installed by pip, it is listed, described and built by its name, with its version."""
    pytest.importorskip("hatchling", reason="pip needs the build backend where there is no network")
    package, site = write_plugin("pet_net", tmp_path / "pets"), tmp_path / "site"
    pip_install(package, site)
    code = (
        "from imgclf.cli.main import run; import sys\n"
        "sys.argv = ['imgclf', 'architectures', 'show', 'pet_net']; run()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site), "COLUMNS": "100"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    for part in ("pet_net  (pet-net 0.1.0)", "Two convolution blocks", "filters", "16, 32, 64"):
        assert part in shown


@pytest.fixture(scope="module")
def example_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed `examples/plugin`, as it does into site-packages."""
    pytest.importorskip("hatchling", reason="pip needs the build backend where there is no network")
    if not EXAMPLE.exists():
        pytest.skip("imgclf is not installed from a source folder")
    site = tmp_path_factory.mktemp("example") / "site"
    pip_install(EXAMPLE, site)
    return site


def test_the_example_trains_and_is_told_of(
    example_site: Path, two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed by pip, the example goes from a folder to report and bundle in this process."""
    monkeypatch.syspath_prepend(example_site)
    settings = Settings(
        architecture="my_net", options={"filters": 8}, image_size=(16, 16), epochs=1
    )
    run = run_training(two_classes, settings, run_dir=tmp_path / "run")
    assert "my_net" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    record = read_bundle(run.bundle).manifest.architecture
    assert (record.name, record.distribution, record.version) == ("my_net", "my-net", "0.1.0")
    assert imgclf.load(run.bundle).predict(two_classes) == run.classifier.predict(two_classes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_example_goes_the_whole_way(
    imgclf_command: Run, example_site: Path, two_classes: Path, tmp_path: Path
) -> None:
    """Installed by pip, the example is checked, trained, searched, asked and reported on."""
    run_dir, site = tmp_path / "run", {"PYTHONPATH": str(example_site)}

    def command(*arguments: object) -> str:
        done = imgclf_command(*arguments, **site)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    command("architectures", "check", "my_net")
    small = ("--arch", "my_net", "--image-size", "16")
    command(
        "train", two_classes, *small, "--epochs", "2", "--set", "filters=8", "--run-dir", run_dir
    )
    bundle = run_dir / "model.imgclf"
    assert len(json.loads(command("predict", bundle, two_classes / "dark", "--json"))) >= 60
    assert "my_net (my-net 0.1.0)" in command("info", bundle)
    command("report", run_dir)
    assert "my_net" in (run_dir / "report.html").read_text(encoding="utf-8")
    study = tmp_path / "study"
    command(
        "tune", two_classes, *small, "--trial-epochs", "2", "--max-trials", "2",
        "--study-dir", study,
    )  # fmt: skip
    best = json.loads((study / "best.json").read_text(encoding="utf-8"))
    assert set(best["settings"]["options"]) >= {"filters", "pooling"}
    # Without the package: LiteRT answers all the same; Keras' network is told what to install.
    assert "my_net (my-net 0.1.0)" in imgclf_command("info", bundle).stdout
    images = two_classes / "dark"
    assert imgclf_command("predict", bundle, images).returncode == 0
    refused = imgclf_command("predict", bundle, images, "--engine", "keras")
    assert "pip install my-net" in refused.stderr
