from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = os.environ.get("IMGCLF_PILLOW_IMAGES", "")


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="IMGCLF_PILLOW_IMAGES: Tests/images of Pillow's sources")
def test_an_epoch_over_pillows_test_images(tmp_path: Path) -> None:
    """A thousand odd files, some hostile: each is used or named, and a training over them ends."""
    import imgclf
    from imgclf.data.batches.augmentation import PRESETS
    from imgclf.data.batches.generators import Plan
    from imgclf.data.pixels.decoder import REASONS
    from imgclf.data.pixels.input_policy import InputPolicy

    files = sorted(path for path in Path(FOLDER).rglob("*") if path.is_file())
    for number, path in enumerate(files):
        place = tmp_path / "ab"[number % 2]
        place.mkdir(exist_ok=True)
        (place / f"{number:04}-{path.name}").symlink_to(path.resolve())
    plan = Plan(str(tmp_path), None, None, InputPolicy((32, 32)), 32, PRESETS["strong"])
    data = plan.build()
    used = data.train.num_samples + data.val.num_samples
    assert used > 500
    assert {item.reason for item in data.quarantined} <= REASONS.keys()
    assert used + len(data.quarantined) + len(data.left_out) == len(files), data.warnings
    model = imgclf.build_model("three_conv", data.train.input_shape, filters=8, hidden_units=8)
    result = imgclf.fit(model, data.train, data.val, epochs=1)
    assert result.history["loss"][0] > 0
