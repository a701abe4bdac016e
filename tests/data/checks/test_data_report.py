from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import imgclf
from imgclf.data.checks.data_report import DataReport, check
from imgclf.errors import DataNotFoundError

MakeFolder = Callable[..., Path]
MakeImage = Callable[..., Path]


def codes(report: DataReport) -> dict[str, str]:
    """Return the findings' codes with their severities."""
    return {finding.code: finding.severity for finding in report.findings}


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of everything below a folder."""
    found = sorted(root.rglob("*"))
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in found}


def test_a_good_folder_has_no_findings(make_folder: MakeFolder) -> None:
    """A clean, balanced, large enough folder: counts, formats and sizes, and nothing to say."""
    report = check(make_folder(a=480, b=480), image_size=(16, 16))
    assert report.findings == ()
    assert report.trainable
    assert report.layout == "classes"
    assert [(item.name, item.train) for item in report.classes] == [("a", 480), ("b", 480)]
    assert report.formats == {"PNG": 960}
    assert report.sizes == {"20 x 24": 960}
    assert report.modes == {"RGB": 960}


def test_every_planted_fault_is_named(make_folder: MakeFolder, make_image: MakeImage) -> None:
    """A folder with all the usual faults: each is found, with an example and a remedy."""
    root = make_folder(train__cat=40, train__dog=9, val__cat=3, val__dog=0)
    cat, dog = root / "train" / "cat", root / "train" / "dog"
    (cat / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (cat / "empty.png").write_bytes(b"")
    (cat / "text.jpg").write_text("hello")
    (cat / "cut.png").write_bytes((cat / "0000.png").read_bytes()[:150])
    (cat / "notes.txt").write_text("x")
    make_image(cat / ".ipynb_checkpoints" / "a.png")
    make_image(root / "train" / "__MACOSX" / "a.png")
    (root / "train" / "empty").mkdir()
    (root / "readme.md").write_text("x")
    (cat / "again.png").write_bytes((cat / "0001.png").read_bytes())
    (dog / "wrong.png").write_bytes((cat / "0002.png").read_bytes())
    Image.open(cat / "0003.png").resize((48, 40)).save(root / "val" / "cat" / "leak.png")
    (cat / "loop").symlink_to(root)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(make_image(cat / "phone.png")).save(cat / "phone.jpg", exif=turned)
    before = files_of(root)
    report = check(root, image_size=(32, 32))
    assert codes(report).keys() >= {
        "unusable_corrupt", "unusable_empty_file", "unusable_not_an_image", "unusable_truncated",
        "ignored_unknown_ending", "ignored_hidden", "ignored_system", "ignored_empty_folder",
        "ignored_beside_splits", "ignored_link_loop", "copies", "conflicting_labels",
        "copies_across_splits", "class_imbalance", "class_missing_in_split", "few_images",
        "rotated_by_exif", "few_held_out",
    }  # fmt: skip
    for finding in report.findings:
        assert finding.what.endswith(".")
        assert finding.remedy.endswith(".")
    by_code = {finding.code: finding for finding in report.findings}
    assert by_code["conflicting_labels"].examples == (
        "train/cat/0002.png = train/dog/wrong.png",
    )  # fmt: skip
    assert "val/cat/leak.png" in by_code["copies_across_splits"].examples[0]
    assert files_of(root) == before, "nothing in the folder is changed"
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


def test_layout_problems_are_errors_of_the_report(make_folder: MakeFolder) -> None:
    """A flat folder and one level too deep are reports that say what to change, not exceptions."""
    flat = check(make_folder("flat", **{".": 3}))
    assert not flat.trainable
    assert flat.layout == "unknown"
    assert "3 images but no class folders" in flat.findings[0].what
    deep = check(make_folder("deep", photos__cat=2, photos__dog=2))
    assert not deep.trainable
    assert "one class folder" in deep.findings[0].what
    assert "or give" in deep.findings[0].remedy


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A wrong path is not a report."""
    with pytest.raises(DataNotFoundError):
        check(tmp_path / "nowhere")


def test_a_class_that_cannot_be_divided_is_an_error(make_folder: MakeFolder) -> None:
    """Copies do not count: two pictures and a copy are too few for three sides."""
    root = make_folder(a=30, b=2)
    (root / "b" / "copy.png").write_bytes((root / "b" / "0000.png").read_bytes())
    report = check(root)
    assert codes(report)["class_too_small"] == "error"
    assert not report.trainable


def test_a_folder_of_unusable_images_cannot_be_trained_on(make_folder: MakeFolder) -> None:
    """Where no image can be read, no class has one: an error, and no training is advised."""
    root = make_folder(a=5, b=5)
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    report = check(root)
    assert codes(report) == {"unusable_empty_file": "warning", "class_too_small": "error"}
    assert not report.trainable


@pytest.mark.parametrize(
    ("ending", "size", "told"), [(".bmp", (24, 20), "The format "), (".png", (30, 30), "The size ")]
)
def test_what_gives_the_label_away_is_named(
    make_folder: MakeFolder, make_image: MakeImage, ending: str, size: tuple[int, int], told: str
) -> None:
    """One class of another format or size: the network could learn that instead."""
    root = make_folder(a=25)
    for number in range(25):
        make_image(root / "b" / f"{number}{ending}", seed=("b", number), size=size)
    report = check(root)
    (finding,) = [item for item in report.findings if item.code == "label_given_away"]
    assert told in finding.what


def test_a_class_called_train_is_suspicious(make_folder: MakeFolder) -> None:
    """train/ beside something that is no split: it was taken for a class, which is said."""
    report = check(make_folder(train__cat=20, train__dog=20, other=20))
    assert codes(report)["class_named_like_split"] == "warning"


def test_near_duplicates_can_be_left_out(make_folder: MakeFolder) -> None:
    """Without the search for look-alikes only the same files count as copies."""
    root = make_folder(a=25, b=25)
    original = Image.open(root / "a" / "0000.png")
    original.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "a" / "mirrored.png")
    assert "copies" in codes(check(root))
    assert "copies" not in codes(check(root, near_duplicates=False))


def test_a_report_is_json(make_folder: MakeFolder, make_image: MakeImage) -> None:
    """as_dict holds plain values only, also with names that are no text."""
    root = make_folder(a=3, b=3)
    odd = make_image(root / "a" / "x.png")
    odd.rename(root / "a" / os.fsdecode(b"caf\xe9.txt"))
    values = json.loads(json.dumps(check(root).as_dict()))
    assert values["trainable"] is True
    assert values["num_usable"] == 6


def test_check_is_a_public_name() -> None:
    """imgclf.check is the function that is documented."""
    assert imgclf.check is check


def test_a_training_reuses_what_the_check_decoded(make_folder: MakeFolder) -> None:
    """Looking first costs nothing: the pixels are kept for the training."""
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.reading.layout import read_folder
    from imgclf.data.store.pixel_store import open_store

    root = make_folder(a=3, b=3)
    check(root, image_size=(16, 16))
    assert open_store(read_folder(root), InputPolicy((16, 16))).reused


def test_class_names_that_look_alike_are_named(make_folder: MakeFolder) -> None:
    """Names that differ in case, blanks or the way of writing accents are told with their forms."""
    root = make_folder(**{"Cat": 3, "cat": 3, "cat ": 3, "caf\u00e9": 3, "cafe\u0301": 3, "dog": 3})
    findings = {finding.code: finding for finding in check(root, image_size=(16, 16)).findings}
    found = findings["alike_class_names"]
    assert found.severity == "warning"
    assert found.examples == ("'Cat' and 'cat' and 'cat '", "'cafe\\u0301' and 'café'")


def test_class_names_that_are_formulas_are_named(make_folder: MakeFolder) -> None:
    """A class name that a spreadsheet would run is a note: its figures are written as they are."""
    report = check(make_folder(**{"=1+1": 3, "@x": 3, "dog": 3}), image_size=(16, 16))
    assert codes(report)["formula_class_names"] == "note"


def test_a_report_shows_itself(make_folder: MakeFolder) -> None:
    """One line in a console; in a notebook the classes and each finding, escaped."""
    root = make_folder(cat=3, dog=3)
    (root / "cat" / "<b>.jpg").write_bytes(b"no image")
    report = imgclf.check(root)
    assert repr(report).startswith(f"<DataReport of {root}: 6 usable images of 7 in 2 classes")
    html = report._repr_html_()
    assert "&lt;b&gt;.jpg" in html
    assert "<b>.jpg" not in html
    assert all(finding.what.split("'")[0][:20] in html for finding in report.findings)
