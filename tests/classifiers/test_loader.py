"""A stranger's file cannot run code, exhaust the machine or pass for what it is not."""

from __future__ import annotations

import importlib
import os
import shutil
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgclf
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.familiarity import fit_familiarity
from imgclf.classifiers.loader import build_classifier, load
from imgclf.conformance.reload import save_bundle
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import BundleError
from plugin_folders import SOUND_PLUGIN, install
from sealed_bundles import forge, members_of, reseal, seal


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small network of two classes, with random weights."""
    path = tmp_path_factory.mktemp("sound") / "sound.imgclf"
    options: dict[str, Any] = {"filters": 8, "hidden_units": 8}
    save_bundle(imgclf.build_model("three_conv", (24, 24, 3), 2, seed=0, **options), path)
    return path


@pytest.fixture(scope="module")
def pixel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a network that reads images of any size: it has one pixel."""
    path = tmp_path_factory.mktemp("pixel") / "pixel.imgclf"
    save_bundle(imgclf.build_model("mobilenet_small", (1, 1, 3), 3, seed=0, filters=4), path)
    return path


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a network whose weights fit images of any size."""
    path = tmp_path_factory.mktemp("pooled") / "pooled.imgclf"
    save_bundle(imgclf.build_model("vgg_bn", (32, 32, 3), 2, seed=0, hidden_units=8), path)
    return path


@contextmanager
def cheap(most_s: float = 5.0, most_mb: float = 500.0) -> Iterator[None]:
    """Demand that what runs inside takes little processor time and memory."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest resident memory
    before_mb, began_s = resident_mb("VmRSS"), time.process_time()
    yield
    assert time.process_time() - began_s < most_s
    assert resident_mb("VmHWM") - before_mb < most_mb


def resident_mb(name: str) -> float:
    """Read one of this process's figures of memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def input_of(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of the manifest's input policy."""
    return lambda manifest: manifest["input"].update(values)


def architecture_of(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of the manifest's architecture."""
    return lambda manifest: manifest["architecture"].update(values)


# --- no code


@pytest.mark.parametrize("plugins", ["on", "off"])
@pytest.mark.parametrize("name", ["evil.py:net", "./evil.py:net", "../here/evil.py:net", "{}:net"])
def test_a_file_cannot_name_code_to_run(
    name: str, plugins: str, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An architecture that is the path of a Python file is refused, and the file is not run."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "evil.py").write_text("open('ran', 'w').close()\ndef net(shape, classes): ...\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("IMGCLF_PLUGINS", plugins)
    change = architecture_of(name=name.format(here / "evil.py"), distribution="imgclf")
    forged = forge(sound, here / "forged.imgclf", change)
    with pytest.raises(BundleError):
        load(forged)
    with pytest.raises(BundleError):  # so that `--from` makes no run folder of that name
        read_bundle(forged)
    assert not (here / "ran").exists()


@pytest.mark.parametrize(
    "change",
    [
        architecture_of(name="../../three_conv"),
        architecture_of(name="three_conv\n"),
        architecture_of(name="n" * 201),
        architecture_of(distribution="requests; rm -rf /"),
        architecture_of(distribution="--index-url=https://example.org x"),
        architecture_of(version="1 && reboot"),
    ],
)
def test_names_of_packages_are_names(change: Any, sound: Path, tmp_path: Path) -> None:
    """What a message repeats as a command to type can be nothing but a package's name."""
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(forge(sound, tmp_path / "forged.imgclf", change))


FILE = {"name": "net.pth", "sha256": "0" * 64}
PACKAGE = {"package": "net_weights", "version": "1.0", "licence": "Apache-2.0 OR (MIT)"}


@pytest.mark.parametrize("facts", [{}, PACKAGE, dict.fromkeys(PACKAGE)])
def test_weights_files_of_all_ages_are_read(
    facts: dict[str, Any], sound: Path, tmp_path: Path
) -> None:
    """Package, version and licence are known of some weights files; of older ones never."""
    change = architecture_of(weights_files={"weights": {**FILE, **facts}})
    record = read_bundle(forge(sound, tmp_path / "forged.imgclf", change)).manifest.architecture
    known = " (net_weights 1.0, Apache-2.0 OR (MIT))" if facts.get("package") else ""
    assert record.origins() == [f"weights of net.pth{known}, sha256 {'0' * 64}"]


@pytest.mark.parametrize(
    "fact",
    [
        {"package": "net weights; reboot"},
        {"package": "n" * 201},
        {"version": "1 && reboot"},
        {"version": 1},
        {"licence": "MIT\n"},
        {"licence": "\x1b[2J"},
        {"licence": "L" * 101},
        {"licence": ""},
        {"author": "nobody"},
    ],
)
def test_facts_of_a_weights_file_are_names(fact: Any, sound: Path, tmp_path: Path) -> None:
    """What `info`, report and model card repeat is short, plain and of the expected form."""
    change = architecture_of(weights_files={"weights": {**FILE, **PACKAGE, **fact}})
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(forge(sound, tmp_path / "forged.imgclf", change))


# --- one error


def without_images(sound: Path, target: Path) -> Path:
    """Empty the probe."""
    empty = {"image": np.zeros((0, 24, 24, 3), np.uint8), "output": np.zeros((0, 2), np.float32)}
    return forge(sound, target, probe=empty)


def with_a_header_past_the_end(sound: Path, target: Path) -> Path:
    """Let the last member's own header say that its content begins where the file has ended."""
    content = bytearray(seal(members_of(sound)))
    struct.pack_into("<H", content, content.rindex(b"PK\3\4") + 28, 0xFFFF)
    target.write_bytes(reseal(bytes(content)))
    return target


def with_a_name_that_is_no_text(sound: Path, target: Path) -> Path:
    """Put a byte into a member's own header that is not UTF-8, and say that it is."""
    content = bytearray(seal(members_of(sound)))
    for signature, flags, name in ((b"PK\3\4", 6, 30), (b"PK\1\2", 8, 46)):
        start = content.index(signature)
        struct.pack_into("<H", content, start + flags, 0x800)
        if name == 30:
            content[start + name] = 0xFF
    target.write_bytes(reseal(bytes(content)))
    return target


def with_centres_of_no_dimension(sound: Path, target: Path) -> Path:
    """Make the familiarity's centres a single number."""
    tensors = dict(familiarity_of(sound))
    tensors["0/centres"] = np.zeros((), np.float32)
    return forge(sound, target, familiarity=tensors)


def familiarity_of(path: Path) -> dict[str, np.ndarray]:
    """Fit a familiarity to noise."""
    classifier = load(path)
    noise = np.random.default_rng(0).integers(0, 256, (30, 24, 24, 3), np.uint8)
    features = classifier.features([noise])
    fitted = fit_familiarity(features, np.arange(30) % 2, features, 2)
    assert fitted is not None
    return fitted.to_tensors()


@pytest.mark.parametrize(
    "forger",
    [
        without_images,
        with_a_header_past_the_end,
        with_a_name_that_is_no_text,
        with_centres_of_no_dimension,
    ],
)
def test_whatever_a_file_holds_its_error_is_one(
    forger: Callable[[Path, Path], Path], sound: Path, tmp_path: Path
) -> None:
    """Where all hashes are right and the content is not, it is a BundleError and no other."""
    with pytest.raises(BundleError):
        load(forger(sound, tmp_path / "forged.imgclf"))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, a folder, and a path that no file can have are refused at once."""
    pipe = tmp_path / "pipe.imgclf"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(BundleError, match="not a file"):
            load(path)
    with pytest.raises(imgclf.DataNotFoundError):
        load(f"{tmp_path}/nul\0.imgclf")


# --- memory and time


def test_activations_are_capped_before_the_network_is_run(pooled: Path, tmp_path: Path) -> None:
    """Images of 4096 x 4096 pixels with a probe of that size are refused, not run."""
    image = np.zeros((1, 4096, 4096, 3), np.uint8)
    probe = {"image": image, "output": np.full((1, 2), 0.5, np.float32)}
    change = input_of(height=4096, width=4096)
    forged = forge(pooled, tmp_path / "large.imgclf", change, probe=probe)
    with cheap(), pytest.raises(BundleError, match="too large for 'vgg_bn'"):
        load(forged, engine="keras")
    with cheap(), pytest.raises(BundleError, match="its network for LiteRT turns images"):
        load(forged)


def test_a_network_that_cannot_be_is_tried_once(pooled: Path, tmp_path: Path) -> None:
    """Images too small for the largest network of a family cost one build, and no weights."""

    def change(manifest: dict[str, Any]) -> None:
        options = {"depth": 16, "filters": 128, "hidden_units": 2048, "activation": "gelu"}
        manifest["architecture"]["options"].update(options)
        manifest["input"].update(height=1, width=1)

    with cheap(most_mb=200), pytest.raises(BundleError, match="cannot be built"):
        load(forge(pooled, tmp_path / "small.imgclf", change), engine="keras")


def test_empty_tensors_are_counted(sound: Path, tmp_path: Path) -> None:
    """300,000 tensors of no size, in a file of 20 MB, are refused before they are made."""
    entry = '"{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    header = ("{" + ",".join(entry.format(number) for number in range(300_000)) + "}").encode()
    content = struct.pack("<Q", len(header)) + header
    forged = forge(sound, tmp_path / "many.imgclf", weights=content)
    with cheap(), pytest.raises(BundleError, match="list of tensors is too long"):
        read_bundle(forged)
    entry = '"{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    header = ("{" + ",".join(entry.format(number) for number in range(20_000)) + "}").encode()
    forge(sound, forged, weights=struct.pack("<Q", len(header)) + header)
    with cheap(), pytest.raises(BundleError, match="20,000 tensors, more than"):
        read_bundle(forged)


def test_images_of_the_probe_are_counted(pixel: Path, tmp_path: Path) -> None:
    """A probe of 100,000 images is refused before one of them is run."""
    count = 100_000
    probe = {
        "image": np.zeros((count, 1, 1, 3), np.uint8),
        "output": np.full((count, 3), 1 / 3, np.float32),
    }
    with cheap(), pytest.raises(BundleError, match="no usable probe"):
        load(forge(pixel, tmp_path / "long.imgclf", probe=probe))


def test_members_are_counted(sound: Path, tmp_path: Path) -> None:
    """A ZIP of 100,000 members is refused before its list is read."""
    members = [*members_of(sound).items(), *((str(number), b"") for number in range(100_000))]
    forged = tmp_path / "members.imgclf"
    forged.write_bytes(seal(members))
    with cheap(most_s=2), pytest.raises(BundleError, match="too many members"):
        read_bundle(forged)


def test_members_do_not_count_twice(sound: Path, tmp_path: Path) -> None:
    """Members that lie on one another would be read as more than the file holds."""
    content = bytearray(seal(members_of(sound)))
    entry = content.index(b"PK\1\2")
    for offset in (20, 24):  # compressed and uncompressed size
        struct.pack_into("<L", content, entry + offset, len(content) + 1)
    forged = tmp_path / "overlapping.imgclf"
    forged.write_bytes(reseal(bytes(content)))
    with pytest.raises(BundleError, match="larger than"):
        read_bundle(forged)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("0/centres", np.zeros((9, 8), np.float32)),
        ("validation_scores", np.zeros(1_002, np.float32)),
        ("0/columns", np.zeros(513, np.int64)),
    ],
)
def test_what_is_compared_with_every_image_is_small(
    name: str, value: Any, sound: Path, tmp_path: Path
) -> None:
    """The familiarity has no more centres, columns and scores than a training makes."""
    tensors = {**familiarity_of(sound), name: value}
    with pytest.raises(BundleError, match="too many"):
        load(forge(sound, tmp_path / "forged.imgclf", familiarity=tensors))


def test_no_honest_file_meets_a_cap(tmp_path: Path) -> None:
    """1,000 classes, ConvNeXt at 512 x 512 pixels, 10 million training images: all are loaded."""
    from imgclf.classifiers.fingerprints import TrainingFingerprints
    from imgclf.classifiers.lazy_model import LazyModel
    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.zoo.activations import MAX_ACTIVATION_BYTES, activation_bytes

    options: dict[str, Any] = {"filters": 8}
    model = imgclf.build_model("resnet9", (32, 32, 3), 1_000, seed=0, **options)
    names = [f"n{number:08} – सामान्य नाम, number {number}" for number in range(1_000)]
    hashes = np.arange(10_000_000, dtype=np.uint64)
    known = TrainingFingerprints(hashes, np.zeros((1_000, 192), np.float32))
    record = ClassifierRecord(
        network=LazyModel(model),
        class_names=names,
        policy=InputPolicy((32, 32)),
        fingerprints=known,
    )
    again = load(Classifier.of(record).save(tmp_path / "large.imgclf"))
    assert again.class_names == tuple(names)
    assert again.record.fingerprints is not None
    assert again.record.fingerprints.hashes.size == 10_000_000
    convnext = imgclf.build_model("convnext", (512, 512, 3), 10)
    assert 2 * activation_bytes(convnext) < MAX_ACTIVATION_BYTES


def test_a_file_above_two_gigabytes_has_another_end(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records that a ZIP has for large files are read, and their count of members too."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    large = tmp_path / "large.imgclf"
    members = members_of(sound)
    large.write_bytes(seal(members))
    assert b"PK\6\6" in large.read_bytes()
    assert read_bundle(large).manifest == read_bundle(sound).manifest
    large.write_bytes(seal([*members.items(), *((str(number), b"") for number in range(1_000))]))
    with pytest.raises(BundleError, match="too many members"):
        read_bundle(large)


# --- no nonsense


@pytest.mark.parametrize(("version", "remedy"), [(999, "install a newer"), (0, "train it again")])
def test_other_pixels_are_refused(version: int, remedy: str, sound: Path, tmp_path: Path) -> None:
    """A classifier that learned from another decoder's pixels is refused; the line says how on."""
    forged = forge(sound, tmp_path / "forged.imgclf", input_of(decoder_version=version))
    with pytest.raises(BundleError, match=rf"version {version} of the decoder.*{remedy}"):
        load(forged)


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "cat"], ["cat", ""], ["cat", "dog\x1b[31m"], ["cat", "dog\n"], ["cat", "a\rb"],
        ["cat", "tab\t"], ["cat", "\x9b31m"], ["cat", "a\u2028b"], ["cat", "a\u202egnp.exe"],
        ["cat", "\ud800"], ["cat", "\x00"], ["cat", "d" * 1_001],
    ],
)  # fmt: skip
def test_class_names_that_mislead_are_refused(
    names: list[str], sound: Path, tmp_path: Path
) -> None:
    """Names that are twice there, empty, or hold what a terminal obeys are not read or written."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["class_names"] = names

    with pytest.raises(BundleError, match="damaged"):
        read_bundle(forge(sound, tmp_path / "forged.imgclf", change))
    classifier = Classifier.of(replace(load(sound).record, class_names=tuple(names)))
    with pytest.raises(BundleError, match=r"cannot be saved .*class_names"):
        classifier.save(tmp_path / "saved.imgclf")


@pytest.mark.parametrize(
    "name",
    [
        "کتاب\u200cها", "क्\u200dष", "👩\u200d🔬", "🇩🇪", "a\u00a0b", "全角\u3000空白", "שלום\u200e",
        "C:\\x", "a/b", " ", "[red]", "<b>", "e\u0301",
    ],
)  # fmt: skip
def test_class_names_of_all_scripts_are_kept(name: str, sound: Path, tmp_path: Path) -> None:
    """Joiners, emoji, and spaces of all kinds are written and read as they are."""
    classifier = Classifier.of(replace(load(sound).record, class_names=("cat", name)))
    assert load(classifier.save(tmp_path / "saved.imgclf")).class_names == ("cat", name)


@pytest.mark.parametrize("pair", [b'"mirrored": true, ', b'"format": 1, ', b'"\\u0066ormat": 1, '])
def test_a_key_is_given_once(pair: bytes, sound: Path, tmp_path: Path) -> None:
    """Of two values of one key, two readers could take different ones."""
    forged = forge(sound, tmp_path / "twice.imgclf", text=lambda text: b"{" + pair + text[1:])
    with pytest.raises(BundleError, match="given twice"):
        read_bundle(forged)


def test_a_tensor_is_given_once(sound: Path, tmp_path: Path) -> None:
    """The list of a member's tensors names each once."""
    content = members_of(sound)["probe.safetensors"]
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].rstrip()
    double = header[:-1] + b"," + header[1:]
    changed = struct.pack("<Q", len(double)) + double + content[8 + length :]
    with pytest.raises(BundleError, match="given twice"):
        read_bundle(forge(sound, tmp_path / "twice.imgclf", probe=changed))


def test_every_layer_counts_whatever_the_probe(sound: Path, tmp_path: Path) -> None:
    """Kernels of 3e38 are noticed although the stored images, all black, do not reach them."""
    weights = {
        name: np.full_like(value, 3e38) if name.endswith("/kernel") else value
        for name, value in read_bundle(sound).weights.items()
    }
    probe = {
        "image": np.zeros((4, 24, 24, 3), np.uint8),
        "output": np.full((4, 2), 0.5, np.float32),
    }
    forged = forge(sound, tmp_path / "huge.imgclf", weights=weights, probe=probe)
    with pytest.raises(BundleError, match="not finite"):
        load(forged, engine="keras")


def test_a_probe_of_other_images_is_accepted(sound: Path, tmp_path: Path) -> None:
    """Which images are stored may change: their answers count, and that ours give numbers."""
    image = np.random.default_rng(5).integers(0, 256, (2, 24, 24, 3), np.uint8)
    output = load(sound).uncalibrated(image).astype(np.float32)
    forged = forge(sound, tmp_path / "other.imgclf", probe={"image": image, "output": output})
    assert load(forged).class_names == load(sound).class_names


@pytest.mark.parametrize("dtype", [np.float64, np.complex64, np.int64, np.bool_])
def test_the_probes_answers_are_probabilities(dtype: Any, sound: Path, tmp_path: Path) -> None:
    """Answers of another type than float32 are not compared at all."""
    probe = dict(read_bundle(sound).probe)
    probe["output"] = probe["output"].astype(dtype)
    with pytest.raises(BundleError, match="no usable probe"):
        load(forge(sound, tmp_path / "forged.imgclf", probe=probe))


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(created="2026\x1b[2J"),
        lambda manifest: manifest["versions"].update(python="3\n"),
        lambda manifest: manifest["architecture"]["options"].update(dropout=float("inf")),
        lambda manifest: manifest["architecture"]["options"].update(filters=10**400),
        lambda manifest: manifest["architecture"]["options"].update({"x\x07": 1}),
        lambda manifest: manifest.update({"evil\x1b[31m": 1}),
    ],
)
def test_all_text_is_plain_and_all_numbers_are_numbers(
    change: Any, sound: Path, tmp_path: Path
) -> None:
    """What is refused is named in one line that a terminal shows and does not obey."""
    with pytest.raises(BundleError) as caught:
        load(forge(sound, tmp_path / "forged.imgclf", change))
    assert str(caught.value).isprintable()


def test_a_broken_plugin_is_not_to_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package of a network is installed but cannot be imported, the reason is told."""
    monkeypatch.syspath_prepend(
        install(tmp_path, "fading-nets", SOUND_PLUGIN.format(name="fading_nets"))
    )
    save_bundle(imgclf.build_model("fading_nets", (24, 24, 3)), tmp_path / "own.imgclf")
    (tmp_path / "fading_nets.py").write_text("import nothing_like_this")
    monkeypatch.delitem(sys.modules, "fading_nets")
    importlib.invalidate_caches()
    with pytest.raises(BundleError, match=r"1\.0 is installed but .*nothing_like_this") as caught:
        imgclf.load(tmp_path / "own.imgclf", engine="keras")
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ("width: Annotated[int, Int(2, 64, was='units')] = 4, more: bool = True", ""),
        ("units: Annotated[int, Int(2, 64)] = 4, more: bool = True", ""),
        ("width: Annotated[int, Int(2, 64)] = 4", "has no option 'units'"),
        ("units: Annotated[int, Int(2, 7)] = 4", "it accepts a whole number from 2 to 7"),
    ],
    ids=["renamed with was", "new option", "renamed", "narrowed"],
)
def test_a_published_plugin_may_change_in_safe_ways(
    changed: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New options and renamed ones with `was` keep earlier files; others break them in one line."""
    source = SOUND_PLUGIN.format(name="growing_nets")
    monkeypatch.syspath_prepend(install(tmp_path, "growing-nets", source))
    save_bundle(imgclf.build_model("growing_nets", (24, 24, 3), units=8), tmp_path / "own.imgclf")
    later = source.replace("units: Annotated[int, Int(2, 64)] = 8", changed)
    if "width" in changed:
        later = later.replace("Conv2D(units", "Conv2D(width")
    (tmp_path / "growing_nets.py").write_text(f"# {changed}\n{later}")
    monkeypatch.delitem(sys.modules, "growing_nets")
    importlib.invalidate_caches()
    if problem:
        with pytest.raises(BundleError, match=problem):
            imgclf.load(tmp_path / "own.imgclf", engine="keras")
        return
    assert imgclf.load(tmp_path / "own.imgclf").model.get_layer("conv").filters == 8


def test_weights_that_were_not_kept_are_read_again(bundle: Path, tmp_path: Path) -> None:
    """The Keras network of the very file is built when it is asked for; of another, none is."""
    file = tmp_path / "own.imgclf"
    shutil.copy(bundle, file)
    read = read_bundle(file, keep_weights=False)
    assert read.weights is None
    classifier = build_classifier(read, file)
    assert classifier.engine == "litert"
    image = np.full((1, *classifier.policy.pixel_shape), 90, np.uint8)
    expected = load(file, engine="keras").predict_pixels([image])
    found = build_classifier(read, file, engine="keras").predict_pixels([image])
    assert np.array_equal(found, expected)
    assert classifier.model.count_params() > 0
    other = build_classifier(read_bundle(file, keep_weights=False), file)
    forge(bundle, file, change=lambda manifest: manifest.update(created="another day"))
    with pytest.raises(BundleError, match="was changed since"):
        _ = other.model
