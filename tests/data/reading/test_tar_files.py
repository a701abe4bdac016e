from __future__ import annotations

import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgclf.data.reading.tar_files import Listed, _Header, list_tar, open_tar, read_span
from imgclf.errors import DataError, ImageError
from tar_shards import write_tar

SIZES = (0, 1, 511, 512, 513, 2000)


def contents(path: Path) -> dict[str, bytes]:
    """Read every member by its span."""
    return {
        name: read_span(path, span, 10**6) for name, span, _ in list_tar(path) if span is not None
    }


def open_below(folder: Path) -> list[str]:
    """Files of a folder that this process holds open; other tests may hold others."""
    held = [os.path.realpath(one) for one in Path("/proc/self/fd").glob("*")]
    return [one for one in held if Path(one).is_relative_to(folder)]


def reasons(path: Path) -> list[tuple[str, str]]:
    """Return what is left out, and why."""
    return [(name, reason) for name, span, reason in list_tar(path) if span is None]


@given(
    members=st.dictionaries(
        st.text("abcé/.", min_size=1, max_size=150).filter(
            lambda name: all(part not in ("", ".", "..") for part in name.split("/"))
        ),
        st.sampled_from(SIZES).map(lambda size: bytes(range(256)) * (size // 256 + 1)),
        max_size=6,
    ),
    tar_format=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_members_come_back(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes], tar_format: int
) -> None:
    """In every dialect, with short and endless names, each file comes back byte by byte."""
    path = tmp_path_factory.getbasetemp() / "property.tar"
    try:
        write_tar(path, members, tar_format)
    except ValueError:  # A name that the oldest dialect cannot write.
        return
    assert contents(path) == members
    assert reasons(path) == []


@settings(max_examples=300)
@given(data=st.data())
def test_a_header_is_read_as_tarfile_reads_it(data: st.DataObject) -> None:
    """The short way through plain headers finds the same name, type and size, or the same fault."""
    info = tarfile.TarInfo(data.draw(st.text("abé/ 7", min_size=1, max_size=90)))
    info.size = data.draw(st.integers(0, 8**11))
    info.type = data.draw(st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE]))
    dialect = data.draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT]))
    try:
        header = bytearray(info.tobuf(dialect, "utf-8", "surrogateescape")[-512:])
    except ValueError:  # Too large for the oldest dialect.
        return
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.sampled_from([0, 50, 99, *range(124, 136), 156, 257, 262, 345, 500]))
        header[place] = data.draw(st.sampled_from(b"\0 7_+-8a\x80\xff"))
    if data.draw(st.booleans()):  # As if the writer had meant it so.
        header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:]))
    assert _read_header(_Header, header) == _read_header(tarfile.TarInfo, header)


def _read_header(kind: type[tarfile.TarInfo], header: bytearray) -> object:
    """Return what is used of a header, or that it is none."""
    try:
        info = kind.frombuf(bytes(header), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return info.name, info.size, info.type, info.issparse()


@settings(max_examples=150)
@given(data=st.data())
def test_no_damage_ends_the_listing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes are changed or cut off, listing ends, and reads nothing outside the file."""
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    members = {f"cat/{'x' * 120 if number == 2 else number}": b"ab" * 300 for number in range(4)}
    write_tar(path, members)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 13))
        patch = data.draw(st.sampled_from([b"\0", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777"]))
        content[place : place + len(patch)] = patch
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    listed = list(list_tar(path))
    assert len(listed) < 50
    size = path.stat().st_size
    assert all(one.span is None or sum(one.span) <= size for one in listed)


def test_damage_costs_what_lies_in_it(tmp_path: Path) -> None:
    """A header that is overwritten, or a part that is, loses one member; it is told of."""
    members = {f"{number}.jpg": bytes([number]) * 700 for number in range(5)}
    path = write_tar(tmp_path / "x.tar", members)
    content = bytearray(path.read_bytes())
    header = content.index(b"2.jpg")
    content[header : header + 300] = bytes(range(150)) * 2
    path.write_bytes(content)
    assert set(contents(path)) == set(members) - {"2.jpg"}
    assert reasons(path) == [("", "damaged_archive")]


def test_a_cut_off_file_keeps_its_whole_members(tmp_path: Path) -> None:
    """Of an interrupted download all members that are whole are used, the last one is named."""
    members = {f"{number}.jpg": bytes([number]) * 700 for number in range(5)}
    path = write_tar(tmp_path / "x.tar", members)
    path.write_bytes(path.read_bytes()[: 3 * 1536 + 600])
    assert set(contents(path)) == {"0.jpg", "1.jpg", "2.jpg"}
    assert ("3.jpg", "cut_off") in reasons(path)


def test_a_missing_end_is_no_damage(tmp_path: Path) -> None:
    """Some programs write no blocks of zeros at the end."""
    path = write_tar(tmp_path / "x.tar", {"1.jpg": b"x" * 512})
    path.write_bytes(path.read_bytes()[:1024])
    assert contents(path) == {"1.jpg": b"x" * 512}
    assert reasons(path) == []


def test_nothing_hostile_is_used(tmp_path: Path) -> None:
    """Links, devices, pipes and names that lead elsewhere are left out, each with its reason."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as packed:
        for name, kind, target in (
            ("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            ("hard.jpg", tarfile.LNKTYPE, "../../etc/passwd"),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
            ("disk.jpg", tarfile.BLKTYPE, ""),
            ("/etc/evil.jpg", tarfile.REGTYPE, ""),
            ("../evil.jpg", tarfile.REGTYPE, ""),
            ("d/" * 200 + "deep.jpg", tarfile.REGTYPE, ""),
            ("folder", tarfile.DIRTYPE, ""),
            ("good.jpg", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            packed.addfile(info)
    assert [one.name for one in list_tar(path) if one.span is not None] == ["good.jpg"]
    assert [reason for _, reason in reasons(path)] == [
        *("link_in_archive", "link_in_archive", "no_plain_file", "no_plain_file"),
        *("unsafe_path", "unsafe_path", "too_deep"),
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    """A name that states gigabytes is damage: no more than 64 KiB of it come into the memory."""
    path = write_tar(tmp_path / "x.tar", {"n" * 200: b"x", "good.jpg": b"y"})
    content = bytearray(path.read_bytes())
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5 * 1024**3
    content[:512] = info.tobuf(tarfile.GNU_FORMAT)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(6 * 1024**3)  # A hole: it takes no room.
        file.truncate(len(content))
    assert next(list_tar(path)) == Listed("", None, "damaged_archive")
    assert "good.jpg" in contents(path)


def test_what_is_no_tar_file_is_refused(tmp_path: Path) -> None:
    """A compressed file, a text and an empty file that are called .tar are one sentence each."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(DataError, match="compressed or a damaged one"):
        open_tar(path)
    path.write_bytes(b"no tar file" * 1000)
    with pytest.raises(DataError, match="no tar file"):
        open_tar(path)
    path.write_bytes(b"")
    assert not open_tar(path).members


def test_a_member_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    """Size is checked before a byte is read; what is not there is not found."""
    archive = open_tar(write_tar(tmp_path / "x.tar", {"a.jpg": b"x" * 100}))
    for name, reason in (("a.jpg", "too_many_bytes"), ("b.jpg", "not_found")):
        with pytest.raises(ImageError) as caught:
            archive.read(name, 50)
        assert caught.value.reason == reason


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    """Files stay open between two reads; another file under the same name is another one."""
    path = write_tar(tmp_path / "x.tar", {"1.jpg": b"one"})
    span = next(list_tar(path)).span
    assert span is not None
    assert read_span(path, span, 10) == b"one"
    write_tar(tmp_path / "new.tar", {"1.jpg": b"two"}).replace(path)
    assert read_span(path, span, 10) == b"two"
    path.unlink()
    with pytest.raises(ImageError) as caught:
        read_span(path, span, 10)
    assert caught.value.reason == "not_found"


def test_many_files_are_read_by_many_threads(tmp_path: Path) -> None:
    """More files than stay open, in any order: each read finds its own, and all are closed."""
    paths = [
        write_tar(tmp_path / f"{number}.tar", {"1.jpg": str(number).encode()})
        for number in range(100)
    ]
    spans = [one.span for path in paths for one in list_tar(path)]

    def read(number: int) -> bytes:
        span = spans[number]
        assert span is not None
        return read_span(paths[number], span, 10)

    order = [number * 37 % 100 for number in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, order)) == [str(number).encode() for number in order]
    assert len(open_below(tmp_path)) <= 40  # 32 stay open, those being read besides
