from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgclf.data.checks.data_report import check
from imgclf.data.pixels.decoder import decode, read_content
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import find_images, is_collection, read_folder
from imgclf.data.reading.parquet_files import open_parquet
from imgclf.data.store.pixel_store import open_store
from imgclf.errors import DataError, ImageError
from tar_shards import png

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
parquet = pytest.importorskip("pyarrow.parquet")

POLICY = InputPolicy((8, 8))


def write_parquet(
    path: Path,
    rows: list[tuple[bytes | None, Any]],
    *,
    names: list[str] | None = None,
    group_rows: int = 3,
    columns: tuple[str, str] = ("image", "label"),
    **options: Any,
) -> Path:
    """Write a file as the hub has it: a struct of bytes and path, and a label with its names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    images = pyarrow.array([{"bytes": content, "path": None} for content, _ in rows], image)
    labels = pyarrow.array([label for _, label in rows])
    table = pyarrow.table([images, labels], names=list(columns))
    if names:
        feature = {columns[1]: {"names": names, "_type": "ClassLabel"}}
        kept = json.dumps({"info": {"features": feature}})
        table = table.replace_schema_metadata({"huggingface": kept})
    parquet.write_table(table, path, row_group_size=group_rows, **options)
    return path


def test_labels_have_the_names_of_the_hub(tmp_path: Path) -> None:
    """Numbers are named by the schema, texts are names; no number, and -1, are no label."""
    rows = [(png(0), 1), (png(1), 0), (png(2), -1), (png(3), None), (png(4), 2)]
    path = write_parquet(tmp_path / "x.parquet", rows, names=["dog", "cat"])
    folder = read_folder(path)
    assert (folder.kind, folder.class_names) == ("parquet", ("cat", "dog"))
    assert [(file.path, file.label) for file in folder.files] == [
        ("x.parquet/0", 0), ("x.parquet/1", 1)]  # fmt: skip
    assert [item.reason for item in folder.left_out] == ["no_label"] * 3
    write_parquet(path, [(png(), "b"), (png(), "a"), (png(), "")])
    assert read_folder(path).class_names == ("a", "b")
    write_parquet(path, [(png(), 10), (png(), 9)])
    assert read_folder(path).class_names == ("10", "9")


def test_files_lie_as_the_hub_has_them(tmp_path: Path) -> None:
    """data/train-00000-of-00002.parquet and its like are splits; beside them lies a README."""
    rows = [(png(0), "a"), (png(1), "b")]
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        write_parquet(tmp_path / "data" / f"{name}.parquet", rows)
    (tmp_path / "README.md").write_text("a data set")
    folder = read_folder(tmp_path)
    assert (folder.layout, folder.splits) == ("splits", {"train", "test"})
    assert len(read_folder(tmp_path / "data" / "train-*.parquet").files) == 4
    assert len(find_images(tmp_path)) == 6
    assert is_collection(tmp_path / "data" / "test-00000-of-00001.parquet")
    assert not is_collection(tmp_path / "data" / "test-00000-of-00001.parquet" / "1")


@given(
    order=st.lists(st.integers(0, 199), min_size=1, max_size=30),
    group_rows=st.sampled_from([1, 7, 64, 65, 200]),
)
def test_rows_come_back_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], group_rows: int
) -> None:
    """However rows are asked for and grouped in the file, each one is its own."""
    path = tmp_path_factory.getbasetemp() / f"{group_rows}.parquet"
    if not path.exists():
        write_parquet(path, [(b"%d" % row, "a") for row in range(200)], group_rows=group_rows)
    archive = open_parquet(path)
    assert [archive.read(str(row), 100) for row in order] == [b"%d" % row for row in order]


def test_a_row_gives_the_pixels_of_the_file(tmp_path: Path) -> None:
    """By the scan's processes, by path and by streaming: the same pixels."""
    path = write_parquet(tmp_path / "x.parquet", [(png(row), "ab"[row % 2]) for row in range(70)])
    folder = read_folder(path)
    stores = [open_store(folder, POLICY, mode=mode) for mode in ("memory", "off")]
    for row in (0, 1, 69, 3):
        expected = decode(png(row), POLICY)
        assert (decode(folder.paths[row], POLICY) == expected).all()
        for store in stores:
            assert (store.pixels.rows([row])[0] == expected).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["70", "-1", "01", "1.png", "1/2", "٣", "9" * 40])
def test_other_rows_are_not_found(tmp_path: Path, name: str) -> None:
    """A path that leads to no row of the file is one clear reason."""
    path = write_parquet(tmp_path / "x.parquet", [(png(), "a")] * 3)
    with pytest.raises(ImageError) as caught:
        read_content(path / name)
    assert caught.value.reason == "not_found"


def test_columns_are_found_or_asked_for(tmp_path: Path) -> None:
    """The only column of its kind may have any name; of two, the usual name or an error."""
    path = tmp_path / "x.parquet"
    rows = [(png(0), "a"), (png(1), "b")]
    write_parquet(path, rows, columns=("picture", "animal"))
    assert read_folder(path).class_names == ("a", "b")
    two = pyarrow.table({"image": [png()], "coarse": ["a"], "fine": ["b"]})
    parquet.write_table(two, path)
    with pytest.raises(DataError, match=r"'coarse', 'fine': name the one with the labels 'label'"):
        read_folder(path)
    parquet.write_table(pyarrow.table({"text": ["a"], "label": [1]}), path)
    with pytest.raises(DataError, match="name the one with the images 'image'"):
        read_folder(path)


def test_damage_costs_what_lies_in_it(tmp_path: Path) -> None:
    """A damaged row group loses its rows, a damaged file itself; each is named."""
    rows = [(png(row) + bytes(2000), "ab"[row % 2]) for row in range(9)]
    options = {"compression": "zstd", "write_page_checksum": True, "use_dictionary": False}
    path = write_parquet(tmp_path / "0.parquet", rows, **options)
    chunk = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    place = chunk.data_page_offset + chunk.total_compressed_size - 80
    content = bytearray(path.read_bytes())
    content[place : place + 20] = bytes(range(20))
    path.write_bytes(content)
    write_parquet(tmp_path / "1.parquet", [(png(row), "ab"[row % 2]) for row in range(100, 102)])
    (tmp_path / "2.parquet").write_bytes(b"PAR1 no, not at all PAR1")
    report = check(tmp_path, image_size=8, near_duplicates=False)
    found = {finding.code: finding for finding in report.findings}
    assert (report.num_files, report.num_usable) == (11, 8)
    assert found["ignored_damaged_archive"].examples == ("2.parquet",)
    assert set(found["unusable_corrupt"].examples) == {f"0.parquet/{row}" for row in (3, 4, 5)}
    with pytest.raises(DataError, match="no Parquet file, or a damaged one"):
        read_folder(tmp_path / "2.parquet")


@given(st.data())
def test_no_damage_ends_the_reading(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes are changed, reading ends with images or with one of our errors."""
    path = tmp_path_factory.getbasetemp() / "fuzzed.parquet"
    write_parquet(path, [(png(row), "ab"[row % 2]) for row in range(9)], names=["a", "b"])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        paths = find_images(path)[:20]
        read_folder(path, min_classes=0)
    except DataError:
        return
    for one in paths:
        try:
            read_content(one)
        except ImageError:
            continue


def test_every_damaged_byte_of_the_footer_is_survived(tmp_path: Path) -> None:
    """Pyarrow ends the process where a column's description is damaged and asked for too early."""
    path = tmp_path / "x.parquet"
    write_parquet(path, [(png(row), "ab"[row % 2]) for row in range(4)], names=["a", "b"])
    content = path.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    for place in range(len(content) - 8 - footer, len(content) - 8):
        damaged = bytearray(content)
        damaged[place] ^= 0x30
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            read_folder(path, min_classes=0)


def test_rows_without_content_are_named(tmp_path: Path) -> None:
    """A row that has only the path of a file somewhere else, and one too large, are no images."""
    path = write_parquet(tmp_path / "x.parquet", [(None, "a"), (bytes(100), "b")])
    archive = open_parquet(path)
    for row, reason in (("0", "not_found"), ("1", "too_many_bytes")):
        with pytest.raises(ImageError) as caught:
            archive.read(row, 99)
        assert caught.value.reason == reason


def test_the_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the error says what to install."""
    path = write_parquet(tmp_path / "x.parquet", [(png(), "a")])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'imgclf\[parquet\]'"):
        read_folder(path)
