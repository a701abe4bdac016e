"""Reads mutants of a `.pth` file, and shows that each is refused or gives arrays of its own bytes.

Usage: python tools/fuzz_weights_file.py [--mutants 5000] [--seed 0] [--file WEIGHTS.pth]

The reader is called behind the check of the file's hash, which would refuse every mutant. A small
file is changed in its bytes (flipped, cut, moved, instructions and numbers put in) and in its
meaning (values of a tensor and of the lists); `--file` changes the bytes of a real one, mostly
where its pickles lie. A mutant passes where `read_tensors` raises WeightsError, or where the arrays
that it returns can be read to the last value; within 2 s, and under a limit of 1 GB of address
space. The same seed makes the same mutants; one of them again: --only NUMBER.
"""

from __future__ import annotations

import argparse
import collections
import copy
import random
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import torch_files
from imgclf.architectures._torch_weights import read_tensors
from imgclf.errors import WeightsError

LIMIT_BYTES = 1024**3
LIMIT_S = 2.0

NUMBERS = (
    -(2**63), -(2**31), -1, 0, 1, 2, 3, 5, 23, 24, 25, 255, 2**15, 2**31 - 1, 2**31, 2**32, 2**40,
    2**61, 2**62, 2**63 - 1, 2**63, 2**64, 2**200, 10**400,
)  # fmt: skip
NASTY: tuple[Any, ...] = (
    *NUMBERS, None, True, False, "", "one", "two", "x" * 5_000, "\x1b[31m", (), (0,), (1,), (24,),
    (2, 3, 4), (4, 3, 2), (-1, -1, -1), (1, 4, 12), (2**62, 4, 2), (0, 0, 0), (2**62, 0), (1,) * 9,
    (1,) * 100, (True, True, True), ((1,),), [], [1], {}, {"a": 1},
    torch_files.Global("torch", "FloatStorage"), torch_files.Global("torch", "LongStorage"),
    torch_files.Global("torch", "HalfStorage"), torch_files.Global("os", "system"),
    torch_files.Global("builtins", "eval"), torch_files.Global("collections", "OrderedDict"),
    torch_files.Global("torch._utils", "_rebuild_tensor_v2"),
    torch_files.Reduce(torch_files.Global("os", "system"), ("false",)),
    torch_files.Reduce(torch_files.Global("torch", "FloatStorage"), ()), torch_files.Outside(None),
    torch_files.Outside(("storage",)),
)  # fmt: skip
HUGE = b"\xff" * 7 + b"\x0f"
INSTRUCTIONS = (
    *(bytes([code]) for code in range(256)),
    b"r\xff\xff\xff\xff", b"j\xff\xff\xff\xff", b"X\xff\xff\xff\xff", b"\x8a\xff",
    b"\x8b\xff\xff\xff\x7f", b"\x96" + HUGE, b"\x8e" + HUGE, b"\x95" + HUGE, b"cos\nsystem\n",
    b"cbuiltins\neval\n", b"c" + b"a" * 300, b"(((((((", b"]q\x00h\x00a", b"}q\x00h\x00h\x00s",
    b")\x85" * 5_000, b"(" * 5_000, b"}" * 5_000, b"(i__main__\nx\n", b"I99999999999\n",
    b"L" + b"9" * 9_000 + b"L\n",
)  # fmt: skip


# --- mutants of bytes


def flipped(rng: random.Random, content: bytes, end: int) -> bytes:
    """Change one to eight bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(end)] = rng.randrange(256)
    return bytes(changed)


def cut(rng: random.Random, content: bytes, end: int) -> bytes:
    """Cut the file off, or add to it."""
    if rng.random() < 0.2:
        return content + rng.randbytes(rng.randint(1, 200))
    return content[: rng.randrange(end)]


def moved(rng: random.Random, content: bytes, end: int) -> bytes:
    """Cut out, double or insert a block."""
    start, place = rng.randrange(end), rng.randrange(end)
    length = rng.choice((1, 2, 4, 9, 30, 100, 500))
    block = content[start : start + length]
    kind = rng.randrange(3)
    if kind == 0:
        return content[:start] + content[start + length :]
    if kind == 1:
        return content[:place] + block + content[place:]
    return content[:place] + rng.randbytes(length) + content[place:]


def instructed(rng: random.Random, content: bytes, end: int) -> bytes:
    """Put instructions in, or in place of others."""
    place, code = rng.randrange(end), rng.choice(INSTRUCTIONS)
    return content[:place] + code + content[place + rng.choice((0, len(code))) :]


def numbered(rng: random.Random, content: bytes, end: int) -> bytes:
    """Overwrite a number of 1, 2, 4 or 8 bytes with one at the edge of its range."""
    form = rng.choice("BHIQ")
    most = 2 ** (8 * struct.calcsize(f"<{form}")) - 1
    number = struct.pack(f"<{form}", rng.choice((0, 1, most // 2, most // 2 + 1, most - 1, most)))
    place = rng.randrange(end)
    return content[:place] + number + content[place + len(number) :]


OF_BYTES = (flipped, cut, moved, instructed, numbered)


# --- mutants of meaning


def of_tensors(rng: random.Random) -> bytes:
    """Put nasty values into what the file says of its tensors."""
    tensors, storages = torch_files.two_tensors()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tensor = rng.choice(list(tensors.values()))
        part = rng.choice(("key", "kind", "count", "offset", "shape", "strides"))
        if part in ("shape", "strides") and rng.random() < 0.7:
            value = getattr(tensor, part)
            sides = list(value) if type(value) is tuple and value else [1]
            sides[rng.randrange(len(sides))] = rng.choice(NASTY if rng.random() < 0.3 else NUMBERS)
            setattr(tensor, part, tuple(sides))
        else:
            setattr(tensor, part, rng.choice(NASTY))
    return _written(tensors, storages)


def of_storages(rng: random.Random) -> bytes:
    """Change counts, keys, their order, or the values that are there."""
    tensors, storages = torch_files.two_tensors()
    kind = rng.randrange(4)
    if kind == 0:
        key = rng.choice(list(storages))
        count = max(-(2**63), min(rng.choice(NUMBERS), 2**63 - 1))
        return torch_files.pth(tensors, storages, counts={key: count})
    if kind == 1:
        storages = dict(reversed(storages.items()))
    elif kind == 2:
        storages["three"] = np.zeros(3, np.float32)
    else:
        storages["one"] = storages["one"][: rng.randrange(24)]
    return torch_files.pth(tensors, storages)


def of_dictionary(rng: random.Random) -> bytes:
    """Put something else in place of a tensor or of its name; share one storage many times."""
    tensors: dict[Any, Any]
    tensors, storages = torch_files.two_tensors()  # type: ignore[assignment]
    kind = rng.randrange(3)
    if kind == 0:
        tensors[rng.choice(list(tensors))] = rng.choice(NASTY)
    elif kind == 1:
        tensors[rng.choice((None, 1, True, (1, 2), "kernel2"))] = rng.choice(NASTY)
    else:
        tensors |= {
            f"copy{n}": copy.copy(tensors["kernel"]) for n in range(rng.choice((1, 9, 999)))
        }
    return _written(tensors, storages)


def _written(tensors: dict[Any, Any], storages: dict[str, np.ndarray]) -> bytes:
    try:
        return torch_files.pth(tensors, storages)
    except (ValueError, OverflowError):  # a number of more than 255 bytes has no such instruction
        return b""


OF_MEANING = (of_tensors, of_storages, of_dictionary)


# --- the trial


def make_mutant(seed: int, number: int, content: bytes, *, real: bool) -> tuple[str, bytes]:
    """Make a mutant, the same for the same seed and number."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choice(OF_BYTES if real else (*OF_BYTES, *OF_MEANING))
    if kind in OF_MEANING:
        return kind.__name__, kind(rng)
    # Of a real file nearly everything is values, of which any are sound.
    end = min(len(content), 200_000) if real and rng.random() < 0.9 else len(content)
    return kind.__name__, kind(rng, content, end)


def outcome_of(content: bytes) -> str:
    """Read a mutant; return how it passed, or raise."""
    try:
        tensors = read_tensors(content, "mutant.pth")
    except WeightsError as error:
        text = str(error)
        assert len(text) < 300, "long"
        assert text.isprintable(), "not printable"
        return "refused"
    for tensor in tensors.values():
        assert tensor.nbytes <= len(content), "larger than its file"
        np.asarray(tensor).tobytes()
    return "read"


def main() -> None:
    """Read all mutants, print a table, and leave with 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, help="A real file; default: a small one.")
    parser.add_argument("--only", type=int, help="Write this mutant to mutant.pth and read it.")
    arguments = parser.parse_args()
    real = arguments.file is not None
    content = arguments.file.read_bytes() if real else torch_files.pth(*torch_files.two_tensors())
    assert outcome_of(content) == "read", "the original"
    # What was imported before counts too, TensorFlow for one.
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + LIMIT_BYTES,) * 2)
    if arguments.only is not None:
        kind, mutant = make_mutant(arguments.seed, arguments.only, content, real=real)
        Path("mutant.pth").write_bytes(mutant)
        print(kind, outcome_of(mutant))
        return
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    failed, slowest_s = 0, 0.0
    for number in range(arguments.mutants):
        kind, mutant = make_mutant(arguments.seed, number, content, real=real)
        began_s = time.process_time()
        try:
            outcome = outcome_of(mutant)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            failed, outcome = failed + 1, "FAILED"
            print(f"FAILED --only {number}: {kind}: {type(error).__name__}: {str(error)[:200]}")
        taken_s = time.process_time() - began_s
        slowest_s = max(slowest_s, taken_s)
        if taken_s > LIMIT_S:
            failed += 1
            print(f"FAILED --only {number}: {kind}: {taken_s:.1f} s")
        counts[kind, outcome] += 1
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{kind:14} {outcome:8} {count:7,}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.mutants:,} mutants, {failed} failed; slowest {slowest_s:.3f} s of processor "
        f"time, at most {peak_mb:,.0f} MB"
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
