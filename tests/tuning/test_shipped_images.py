"""Images that are sent to nodes: the same images, in the same order, with the same labels."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import write_images
from imgclf.data.batches.image_data import build_data
from imgclf.data.batches.plan import Plan
from imgclf.errors import ArgumentError
from imgclf.tuning.shipped_images import listing_digest, receive_images, ship_images


@pytest.fixture(autouse=True)
def object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is put into the cluster's object store be the reference to it."""
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setattr(ray, "put", lambda content: content)
    monkeypatch.setattr(ray, "get", lambda reference: reference)


@pytest.fixture
def plan(batches: Any) -> Plan:
    """Return the plan of the small folder."""
    found: Plan = batches[0].plan
    return found


def images_of(plan: Plan) -> list[tuple[str, int, str, str]]:
    """List what a plan gives to learn from and to be measured on."""
    data = build_data(plan)
    return [
        (Path(sample.path).name, sample.label, sample.sha256, split)
        for split, batches in (("train", data.train), ("val", data.val))
        for sample in batches.samples
    ]


def test_a_folder_arrives_as_it_was(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several pieces, once a machine: the second time nothing is fetched."""
    monkeypatch.setattr("imgclf.tuning.shipped_images.PART_BYTES", 50_000)
    shipment = ship_images(plan)
    assert len(shipment.parts) > 2
    arrived = receive_images(shipment, plan)
    assert arrived.train_dir != plan.train_dir
    assert images_of(arrived) == images_of(plan)
    assert ship_images(plan).digest == shipment.digest
    assert receive_images(replace(shipment, parts=()), plan) == arrived


def test_zip_files_tables_and_folders_of_their_own_arrive(plan: Plan, tmp_path: Path) -> None:
    """Each is read on the node as it is here; validation images may lie elsewhere."""
    write_images(tmp_path / "val", {"dark": 8, "light": 8}, seed=7)
    (tmp_path / "list.csv").write_text(
        "path,label\n"
        + "".join(f"val/{name}/00{n}.png,{name}\n" for name in ("dark", "light") for n in range(8))
    )
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in sorted((tmp_path / "val").rglob("*.png")):
            archive.write(file, f"photos/{file.relative_to(tmp_path / 'val')}")
    for changed in (
        {"val_dir": str(tmp_path / "val")},
        {"train_dir": str(tmp_path / "list.csv"), "val_split": 0.25},
        {"train_dir": str(tmp_path / "photos.zip"), "val_split": 0.25},
    ):
        given = replace(plan, **changed)
        arrived = receive_images(ship_images(given), given)
        assert images_of(arrived) == images_of(given), changed


def test_another_folder_at_the_same_path_is_not_taken_for_it(plan: Plan, tmp_path: Path) -> None:
    """Paths, labels and sizes count; a missing folder has no digest."""
    copied = Path(shutil.copytree(plan.train_dir, tmp_path / "copy"))
    own = replace(plan, train_dir=str(copied))
    assert listing_digest(own) == listing_digest(plan) is not None
    first = next(copied.rglob("*.png"))
    first.write_bytes(first.read_bytes() + b"\0")
    assert listing_digest(own) not in (None, listing_digest(plan))
    assert listing_digest(replace(plan, train_dir=str(tmp_path / "missing"))) is None


def test_images_outside_the_folder_of_their_table_are_refused(plan: Plan, tmp_path: Path) -> None:
    """They could only be sent under another name."""
    write_images(tmp_path / "images", {"a": 8, "b": 8})
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.csv").write_text(
        "path,label\n"
        + "".join(f"../images/{name}/00{n}.png,{name}\n" for name in "ab" for n in range(8))
    )
    outside = replace(plan, train_dir=str(tmp_path / "lists" / "all.csv"))
    with pytest.raises(ArgumentError, match="outside the folder of its CSV file"):
        ship_images(outside)
