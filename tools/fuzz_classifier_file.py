"""Loads mutants of a classifier's file, and shows that each is refused or answers as the original.

Usage: python tools/fuzz_classifier_file.py [--mutants 20000] [--seed 0] [--workers 2]

Two small classifiers are saved and changed: in their bytes (flipped, cut, moved, with and without
the right hash at the end) and in their meaning, with all hashes consistent (values, keys and text
of the manifest; names, shapes, types, values and headers of tensors; the network for LiteRT; the
list of members). One half is loaded with LiteRT as its engine, one half with Keras. Worker
processes that reuse TensorFlow load one mutant after the other, under a limit of 2 GB of data
(RLIMIT_DATA: heap and private mappings; the address space of TensorFlow alone is larger than 2 GB,
so that RLIMIT_AS cannot be used). A mutant passes where `imgclf.load` raises BundleError or
DataNotFoundError, or where the classifier gives the original's answers; within 5 s of processor
time. The same seed makes the same mutants; one of them again: --only NUMBER.
"""

from __future__ import annotations

import argparse
import collections
import copy
import hashlib
import io
import json
import os
import random
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

LIMIT_BYTES = 2 * 1024**3
LIMIT_S = 5.0
HANGS_AFTER_S = 120.0
TOLERANCE = 1e-2
"""Largest difference of a probability from the original's: the probe accepts 1e-4 on other images,
so that a kernel may have changed a little."""

LOADS_OF_A_WORKER = 1_000
"""Keras keeps something of every network; a fresh process now and then forgets it."""

COMMENT = b"imgclf sha256 "
MANIFEST = "manifest.json"
Members = list[tuple[str, bytes]]

NASTY: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 24, 255, 4096, 4097, 2**31, 2**63, 2**64, 10**30, 10**400,
    0.0, -0.0, 0.5, 1e-300, 1e308, float("nan"), float("inf"), "", " ", "x", "dark", "a" * 5_000,
    "\x1b[31m", "\x00", "\ud800", "\u202e", "a\nb", "کتاب‌ها", "../x", "/etc/passwd", "evil.py:net",
    "three_conv", "resnet9", "imgclf", "0" * 64, [], {}, [[]], ["a", "a"], {"a": 1}, [0] * 1_000,
    [""] * 3, ["a", "b", "c"], "stretch", "crop", "channels_first", "manifest.json",
)  # fmt: skip
DTYPES = ("float32", "float64", "float16", "int64", "uint64", "uint8", "bool", "complex64")
SIZES = (0, 1, 2, 7, 2**20, 2**31, 2**32 - 1, 2**62, 2**63)


@dataclass(frozen=True)
class Original:
    """A classifier's file, taken apart."""

    content: bytes
    members: Members
    manifest: dict[str, Any]

    def tensors(self, name: str) -> dict[str, np.ndarray]:
        """Return the tensors of a member."""
        return safetensors.numpy.load(dict(self.members)[name])


def take_apart(content: bytes) -> Original:
    """Read the members of a sound file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    return Original(content, members, json.loads(dict(members)[MANIFEST]))


def seal(members: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    """Pack members with the hash of all bytes at the end, whatever they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, method)
        archive.comment = COMMENT + b"0" * 64
    return reseal(file.getvalue())


def reseal(content: bytes) -> bytes:
    """Make the hash at the end right again."""
    digest = hashlib.sha256(content[: -len(COMMENT) - 64]).hexdigest()
    return content[:-64] + digest.encode()


def consistent(original: Original, changed: dict[str, bytes], manifest: Any = None) -> bytes:
    """Pack changed members with a manifest that has their sizes and hashes."""
    contents = {**dict(original.members), **changed}
    stated = json.loads(json.dumps(original.manifest if manifest is None else manifest))
    stated["members"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in contents.items()
        if name != MANIFEST
    }
    return seal([*contents.items(), (MANIFEST, json.dumps(stated).encode())][1:])


# --- mutants of bytes


def flipped(rng: random.Random, content: bytes, places: range | None = None) -> bytes:
    """Change one to eight bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.choice(places or range(len(changed)))] = rng.randrange(256)
    return bytes(changed)


def moved(rng: random.Random, content: bytes) -> bytes:
    """Cut out, double, insert or overwrite a block."""
    start = rng.randrange(len(content))
    length = min(rng.choice((1, 4, 30, 64, 500, 5_000)), len(content) - start)
    block = content[start : start + length]
    place = rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        return content[:start] + content[start + length :]
    if kind == 1:
        return content[:start] + block + content[start:]
    if kind == 2:
        return content[:place] + rng.randbytes(length) + content[place:]
    return content[:place] + block + content[place + length :]


def bytes_stale(rng: random.Random, original: Original) -> bytes:
    """Change bytes and leave the hash as it was."""
    return rng.choice((flipped, moved))(rng, original.content)


def bytes_cut(rng: random.Random, original: Original) -> bytes:
    """Cut the file off, or add to it."""
    content = original.content
    if rng.random() < 0.2:
        return content + rng.randbytes(rng.randint(1, 200))
    return content[: rng.randrange(len(content))]


def bytes_resealed(rng: random.Random, original: Original) -> bytes:
    """Change bytes anywhere and make the hash right."""
    return reseal(rng.choice((flipped, moved))(rng, original.content))


def bytes_of_headers(rng: random.Random, original: Original) -> bytes:
    """Change bytes of the ZIP's own headers and make the hash right."""
    content = original.content
    starts = [place for place in _find_all(content, b"PK") if content[place + 2] < 8]
    start = rng.choice(starts)
    width = rng.choice((4, 30, 46, 80))
    return reseal(flipped(rng, content, range(start, min(start + width, len(content) - 64))))


def _find_all(content: bytes, part: bytes) -> Iterator[int]:
    place = content.find(part)
    while place >= 0:
        yield place
        place = content.find(part, place + 1)


# --- mutants of meaning: every hash is right


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the places of all values in JSON."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [path, *(place for key, item in inner for place in places_of(item, (*path, key)))]


def manifest_values(rng: random.Random, original: Original) -> bytes:
    """Put nasty values into the manifest."""
    manifest = json.loads(json.dumps(original.manifest))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        *path, last = rng.choice(places_of(manifest)[1:])
        inner = manifest
        try:
            for key in path:
                inner = inner[key]
            inner[last] = copy.deepcopy(rng.choice(NASTY))
        except (KeyError, IndexError, TypeError):
            continue  # The first change has taken the place of the second.
    return consistent(original, {}, manifest) if isinstance(manifest, dict) else b""


def manifest_keys(rng: random.Random, original: Original) -> bytes:
    """Take a key away, add one, or give one twice."""
    manifest = json.loads(json.dumps(original.manifest))
    records = [manifest, *(item for item in manifest.values() if isinstance(item, dict))]
    record = rng.choice(records)
    kind = rng.randrange(3)
    key = rng.choice(sorted(record)) if record else "x"
    if kind == 0:
        record.pop(key, None)
    elif kind == 1:
        record[str(rng.choice(NASTY))] = copy.deepcopy(rng.choice(NASTY))
    content = consistent(original, {}, manifest)
    if kind < 2:
        return content
    members = dict(take_apart(content).members)
    pair = f"{json.dumps(key)}: {json.dumps(rng.choice(NASTY))}".encode()
    text = members[MANIFEST]
    at = rng.choice(list(_find_all(text, b"{"))) + 1
    return seal([*members.items(), (MANIFEST, text[:at] + pair + b", " + text[at:])][1:])


def manifest_text(rng: random.Random, original: Original) -> bytes:
    """Damage the text of the manifest."""
    members = dict(take_apart(consistent(original, {})).members)
    text = members[MANIFEST]
    nested = rng.choice(
        (b"[" * 100_000, b'{"a":' * 100_000, text * 2, b"", b"null", b"[]", b"\xff")
    )
    changed = nested if rng.random() < 0.1 else rng.choice((flipped, moved))(rng, text)
    return seal([*members.items(), (MANIFEST, changed)][1:])


def tensors_changed(rng: random.Random, original: Original) -> bytes:
    """Change the tensors of one member."""
    name = rng.choice([name for name, _ in original.members if name.endswith(".safetensors")])
    tensors = original.tensors(name)
    for _ in range(rng.choice((1, 1, 2))):
        if tensors:
            change_tensor(rng, tensors, rng.choice(sorted(tensors)))
    return consistent(original, {name: safetensors.numpy.save(tensors)})


def change_tensor(rng: random.Random, tensors: dict[str, np.ndarray], key: str) -> None:
    """Change one tensor: its name, its type, its shape or its values."""
    tensor = tensors[key]
    kind = rng.randrange(7)
    if kind == 0:
        del tensors[key]
    elif kind == 1:
        tensors[rng.choice(("x", "", "a\nb", "head/kernel", "b" * 2_000))] = tensors.pop(key)
    elif kind == 2:
        tensors[key] = tensor.astype(rng.choice(DTYPES))
    elif kind == 3:
        shape = rng.choice(((), (0,), (1,), (tensor.size,), (1, *tensor.shape), tensor.shape[::-1]))
        tensors[key] = np.resize(tensor, shape)
    elif kind == 4:
        tensors[key] = np.concatenate([np.atleast_1d(tensor)] * rng.choice((2, 30)))
    elif kind == 5:
        tensors[key] = np.atleast_1d(tensor)[: rng.choice((0, 1, 2))]
    else:
        values = np.array(tensor)
        places = rng.sample(range(values.size), min(values.size, rng.choice((1, 5, 10**6))))
        with np.errstate(all="ignore"):
            values.flat[places] = np.array(
                rng.choice((0.0, 1e-40, 1.0, -3e38, 3e38, np.nan, np.inf, 1e6))
            ).astype(values.dtype)
        tensors[key] = values


def headers_changed(rng: random.Random, original: Original) -> bytes:
    """Change the header of a member's tensors, or its bytes."""
    name = rng.choice([name for name, _ in original.members if name.endswith(".safetensors")])
    content = dict(original.members)[name]
    if rng.random() < 0.3:
        return consistent(original, {name: rng.choice((flipped, moved))(rng, content)})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entry = header[rng.choice(sorted(header))]
    key = rng.choice(("dtype", "shape", "data_offsets"))
    if key == "dtype":
        entry[key] = rng.choice(("F32", "F64", "F16", "BF16", "F8_E5M2", "BOOL", "I64", "C64", "x"))
    elif rng.random() < 0.5:
        entry[key] = rng.choice(NASTY)
    else:
        entry[key] = [rng.choice(SIZES) for _ in range(rng.randint(0, 4))]
    if rng.random() < 0.2:
        header["__metadata__"] = rng.choice(NASTY)
    text = json.dumps(header).encode()
    stated = len(text) if rng.random() < 0.9 else rng.choice(SIZES)
    changed = stated.to_bytes(8, "little") + text + content[8 + length :]
    return consistent(original, {name: changed})


def members_changed(rng: random.Random, original: Original) -> bytes:
    """Change which members there are."""
    members = dict(take_apart(consistent(original, {})).members)
    pairs = list(members.items())
    kind = rng.randrange(5)
    if kind == 0:
        pairs.append(rng.choice(pairs))
    elif kind == 1:
        pairs.append((rng.choice(("x", "../x", "a.py", "x" * 60_000, "ÿ")), b"x"))
    elif kind == 2:
        pairs.pop(rng.randrange(len(pairs)))
    elif kind == 3:
        pairs += [(f"{number}", b"") for number in range(rng.choice((10, 3_000)))]
    rng.shuffle(pairs)
    return seal(pairs, zipfile.ZIP_DEFLATED if kind == 4 else zipfile.ZIP_STORED)


def sizes_changed(rng: random.Random, original: Original) -> bytes:
    """Ask for images of another size, with a probe that fits."""
    manifest = json.loads(json.dumps(original.manifest))
    height, width = rng.choice((1, 7, 25, 64, 300)), rng.choice((1, 7, 25, 64, 300))
    if rng.random() < 0.02:
        height = width = 4096
    manifest["input"] |= {"height": height, "width": width}
    count = rng.choice((0, 1, 4, 5))
    image = np.zeros((count, height, width, manifest["input"]["channels"]), np.uint8)
    output = np.full((count, len(manifest["class_names"])), 0.5, np.float32)
    probe = safetensors.numpy.save({"image": image, "output": output})
    return consistent(original, {"probe.safetensors": probe}, manifest)


def network_changed(rng: random.Random, original: Original) -> bytes:
    """Change the network for LiteRT, mostly its structure, which lies at both ends."""
    content = dict(original.members)["network.tflite"]
    ends = (range(2_000), range(len(content) - 20_000, len(content)))
    is_flipped = rng.random() < 0.7
    changed = flipped(rng, content, rng.choice(ends)) if is_flipped else moved(rng, content)
    return consistent(original, {"network.tflite": changed})


MUTATORS: tuple[Callable[[random.Random, Original], bytes], ...] = (
    bytes_stale, bytes_cut, bytes_resealed, bytes_resealed, bytes_of_headers, bytes_of_headers,
    manifest_values, manifest_values, manifest_keys, manifest_text, tensors_changed,
    tensors_changed, headers_changed, members_changed, sizes_changed, network_changed,
    network_changed,
)  # fmt: skip


def make_mutant(seed: int, number: int, originals: list[Original]) -> tuple[str, int, bytes]:
    """Return the kind of a mutant, which original it was, and its bytes."""
    rng = random.Random(f"{seed} {number}")
    which = rng.randrange(len(originals))
    mutate = rng.choice(MUTATORS)
    return mutate.__name__, which, mutate(rng, originals[which])


# --- the processes


def save_originals(folder: Path) -> None:
    """Save the classifiers that are changed: of all features of a file, each has some."""
    from imgclf.classifiers.bundle import CalibrationRecord, DataRecord, Figures, ThresholdRecord
    from imgclf.classifiers.classifier import Classifier
    from imgclf.classifiers.familiarity import fit_familiarity
    from imgclf.classifiers.fingerprints import fingerprint_images
    from imgclf.classifiers.lazy_model import LazyModel
    from imgclf.classifiers.record import ClassifierRecord
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.zoo.builder import build_model

    rng = np.random.default_rng(0)
    policies = (
        InputPolicy((24, 24)),
        InputPolicy((24, 28), channels=1, data_format="channels_first", resize="pad"),
    )
    names = (["dark", "light"], ["a", "b", "c"])
    architectures = (
        ("three_conv", {"filters": 8, "hidden_units": 8}),
        ("one_hidden", {"filters": 8, "hidden_units": 8}),
    )
    for number, (policy, classes) in enumerate(zip(policies, names, strict=True)):
        name, options = architectures[number]
        count = len(classes)
        model = build_model(
            name, policy.input_shape, count, data_format=policy.data_format, seed=0, **options
        )
        pixels = rng.integers(0, 256, (30, *policy.pixel_shape), np.uint8)
        labels = np.arange(30) % count
        sha256 = [hashlib.sha256(bytes([index])).hexdigest() for index in range(30)]
        threshold = ThresholdRecord(min_precision=0.9, value=0.5, coverage=0.5, precision=0.95)
        record = ClassifierRecord(
            network=LazyModel(model),
            class_names=classes,
            policy=policy,
            figures=Figures(
                split="test", num_images=9, accuracy=0.5, accuracy_low=0.2, accuracy_high=0.8,
                majority_accuracy=0.5,
            ),
            data=DataRecord(num_train=9, num_val=9, num_test=9, split_sha256="0" * 64, seed=0),
            calibration=CalibrationRecord(
                temperature=1.5, num_images=9, log_loss_before=1.0, log_loss_after=0.9,
                ece_before=0.1, ece_after=0.05, thresholds=[threshold],
            ),
            fingerprints=fingerprint_images([pixels], labels, sha256, count),
            mirrored=number == 1,
        )  # fmt: skip
        classifier = Classifier.of(record)
        features = classifier.features([pixels])
        familiarity = fit_familiarity(features, labels, features, count)
        classifier.with_changes(familiarity=familiarity).save(folder / f"{number}.imgclf")


def work(folder: Path, seed: int, numbers: range) -> None:
    """Load mutants in this process, and print a line before and after each."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    import imgclf

    paths = sorted(folder.glob("?.imgclf"))
    originals = [take_apart(path.read_bytes()) for path in paths]
    sound = [imgclf.load(path) for path in paths]
    noise = [
        np.random.default_rng(7).integers(0, 256, (8, *one.policy.pixel_shape), np.uint8)
        for one in sound
    ]
    answers = [one.uncalibrated(images) for one, images in zip(sound, noise, strict=True)]
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    target = folder / f"mutant-{os.getpid()}.imgclf"
    for number in numbers:
        kind, which, content = make_mutant(seed, number, originals)
        target.write_bytes(content)
        print(json.dumps({"begin": number, "kind": kind}))
        Path("/proc/self/clear_refs").write_text("5")  # forgets the highest resident memory
        before_kb, began_s = memory_kb("VmRSS"), time.process_time()
        # One half by LiteRT, one half by Keras.
        outcome = judge(target, noise[which], answers[which], "keras" if number % 2 else "auto")
        spent_s = time.process_time() - began_s
        grown_mb = (memory_kb("VmHWM") - before_kb) / 1024
        print(json.dumps({"end": number, **outcome, "cpu_s": spent_s, "grown_mb": grown_mb}))
    target.unlink(missing_ok=True)


def memory_kb(name: str) -> int:
    """Read one of this process's figures of memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def judge(path: Path, noise: np.ndarray, answers: np.ndarray, engine: str) -> dict[str, Any]:
    """Load a mutant; say how it ended, and whether that is one of the two ways."""
    from PIL import Image

    import imgclf
    from imgclf.machine.plain_text import is_plain_text

    try:
        classifier = imgclf.load(path, engine=engine)  # type: ignore[arg-type]
    except (imgclf.BundleError, imgclf.DataNotFoundError) as error:
        text = str(error)
        return {"outcome": "refused", "good": is_plain_text(text) and len(text) < 6_000}
    except BaseException as error:  # noqa: BLE001 - what else there is, is what is looked for
        return {"outcome": f"{type(error).__name__}: {error}"[:300], "good": False}
    try:
        prediction = classifier.predict(Image.new("RGB", (40, 30), (200, 90, 10)))[0]
        values = list(prediction.probabilities.values())
        is_sound = len(values) == len(classifier.class_names) and abs(sum(values) - 1) < 1e-6
        if classifier.policy.pixel_shape != noise.shape[1:]:
            return {"outcome": "accepted, of another size", "good": is_sound}
        difference = float(np.abs(classifier.uncalibrated(noise) - answers).max())
    except Exception as error:  # noqa: BLE001 - the same
        return {"outcome": f"accepted, then {type(error).__name__}: {error}"[:300], "good": False}
    is_equal = difference <= TOLERANCE
    outcome = "accepted, equal answers" if is_equal else f"accepted, differs by {difference:.3g}"
    return {"outcome": outcome, "good": is_sound and is_equal}


class Shift:
    """One worker process, and what it has been given to do."""

    def __init__(self, folder: Path, seed: int, numbers: range) -> None:
        """Start it."""
        self.numbers = numbers
        self.current: dict[str, Any] = {"begin": numbers.start, "kind": "start"}
        self.heard_s = time.monotonic()
        arguments = [str(folder), str(seed), str(numbers.start), str(numbers.stop)]
        self.process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, __file__, "--work", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )


def run_all(folder: Path, seed: int, mutants: range, workers: int) -> Iterator[dict[str, Any]]:
    """Yield the outcome of every mutant; one that ends its process is an outcome too."""
    step = LOADS_OF_A_WORKER
    waiting = [
        range(at, min(at + step, mutants.stop)) for at in range(mutants.start, mutants.stop, step)
    ]
    selector = selectors.DefaultSelector()
    while waiting or selector.get_map():
        while waiting and len(selector.get_map()) < workers:
            shift = Shift(folder, seed, waiting.pop(0))
            selector.register(shift.process.stdout, selectors.EVENT_READ, shift)
        for key, _ in selector.select(timeout=5.0):
            shift = key.data
            line = key.fileobj.readline()
            shift.heard_s = time.monotonic()
            if line:
                message = json.loads(line)
                if "begin" in message:
                    shift.current = message
                else:
                    yield {**shift.current, **message}
                    shift.current = {"begin": message["end"] + 1, "kind": "start"}
                continue
            selector.unregister(key.fileobj)
            status = shift.process.wait()
            number = shift.current["begin"]
            if status or number < shift.numbers.stop:
                yield {
                    **shift.current,
                    "outcome": f"the process ended with {status}",
                    "good": False,
                }
                waiting.append(range(number + 1, shift.numbers.stop))
        for key in list(selector.get_map().values()):
            if time.monotonic() - key.data.heard_s > HANGS_AFTER_S:
                key.data.process.kill()


def main() -> None:
    """Run the mutants and print what came of them; ends with 1 where one did not pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, help="One mutant by its number; its file is kept.")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        folder, *numbers = arguments.work
        seed, start, stop = map(int, numbers)
        work(Path(folder), seed, range(start, stop))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_originals(folder)
        if arguments.only is not None:
            originals = [take_apart(path.read_bytes()) for path in sorted(folder.glob("?.imgclf"))]
            kind, _, content = make_mutant(arguments.seed, arguments.only, originals)
            Path("mutant.imgclf").write_bytes(content)
            print(f"{kind}: mutant.imgclf")
            return
        began_s = time.monotonic()
        found = list(run_all(folder, arguments.seed, range(arguments.mutants), arguments.workers))
    sys.exit(print_table(found, time.monotonic() - began_s))


def print_table(found: list[dict[str, Any]], wall_s: float) -> int:
    """Print counts by kind, the slowest, the largest, and all that did not pass."""
    counts = collections.Counter(
        (one["kind"], one["outcome"].split(", differs")[0] if one["good"] else "FAILED")
        for one in found
    )
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{kind:18} {outcome:28} {count:7,}")
    slow = [one for one in found if one.get("cpu_s", 0) > LIMIT_S]
    failed = [one for one in found if not one["good"]] + slow
    for one in failed[:50]:
        print(
            f"FAILED --only {one['begin']}: {one['kind']}: {one['outcome']}, {one.get('cpu_s')} s"
        )
    slowest = max((one.get("cpu_s", 0.0) for one in found), default=0.0)
    largest = max((one.get("grown_mb", 0.0) for one in found), default=0.0)
    print(
        f"{len(found):,} mutants, {len(failed)} failed; slowest {slowest:.2f} s of processor time, "
        f"most memory {largest:,.0f} MB beyond TensorFlow's own; {wall_s:,.0f} s in all"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    main()
