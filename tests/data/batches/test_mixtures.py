from __future__ import annotations

import numpy as np
import pytest

from imgclf.data.batches.augmentation import Augmentation, resolve_augmentation
from imgclf.data.batches.mixtures import mix
from imgclf.errors import ArgumentError

LEVELS = np.array([0, 50, 100, 150, 200, 250])


def flat_images(height: int = 40, width: int = 60) -> np.ndarray:
    """Return images of one level each: what is mixed in can be read off."""
    return np.broadcast_to(LEVELS[:, None, None, None], (6, height, width, 3)).astype(np.uint8)


def mixed(augmentation: Augmentation, *, seed: int = 1, epoch: int = 0, step: int = 0):  # type: ignore[no-untyped-def]
    """Mix flat images whose one-hot labels tell which they are."""
    targets = np.eye(6, dtype=np.float32)
    return mix(flat_images(), targets, augmentation, seed=seed, epoch=epoch, step=step)


@pytest.mark.parametrize("augmentation", [Augmentation(mixup=1.0), Augmentation(cutmix=1.0)])
def test_labels_are_mixed_as_images_are(augmentation: Augmentation) -> None:
    """A label's shares are those of the pixels: the mean level of an image follows from it."""
    for step in range(5):
        images, targets = mixed(augmentation, step=step)
        assert images.dtype == np.uint8
        assert targets.dtype == np.float32
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), targets @ LEVELS, atol=0.6)
        assert (np.count_nonzero(targets > 1e-3, axis=1) <= 2).all()


def test_mixup_blends_and_cutmix_pastes() -> None:
    """MixUp gives levels between the two images; CutMix leaves every pixel one of the two."""
    blended, _ = mixed(Augmentation(mixup=1.0))
    assert all(len(np.unique(image)) == 1 for image in blended)
    assert set(np.unique(blended)) - set(LEVELS)
    pasted, _ = mixed(Augmentation(cutmix=1.0))
    assert set(np.unique(pasted)) <= set(LEVELS)
    assert 1 < max(len(np.unique(image)) for image in pasted) <= 2


def test_mixing_is_a_function_of_seed_epoch_and_step() -> None:
    """The same place gives the same batch; each of the three changes it."""
    both = Augmentation(mixup=0.4, cutmix=1.0)
    first = mixed(both)[0]
    np.testing.assert_array_equal(first, mixed(both)[0])
    for changed in ({"seed": 2}, {"epoch": 1}, {"step": 1}):
        assert (mixed(both, **changed)[0] != first).any()


def test_both_ways_take_turns() -> None:
    """With both on, about half of the batches are blended and half are pasted."""
    blended = sum(
        bool(set(np.unique(mixed(Augmentation(mixup=1.0, cutmix=1.0), step=step)[0])) - set(LEVELS))
        for step in range(100)
    )
    assert 30 < blended < 70


def test_shares_follow_alpha() -> None:
    """A small alpha keeps most images nearly pure, alpha 1 takes every share alike."""
    purity = {
        alpha: np.mean([mixed(Augmentation(mixup=alpha), step=n)[1].max(axis=1) for n in range(50)])
        for alpha in (0.2, 1.0)
    }
    assert purity[0.2] > 0.87
    assert purity[1.0] == pytest.approx(0.75, abs=0.03)


def test_a_single_image_has_no_partner() -> None:
    """The last batch of an epoch may have one image, which stays as it is."""
    images, targets = flat_images()[:1], np.ones((1, 1), np.float32)
    same = mix(images, targets, Augmentation(mixup=1.0), seed=0, epoch=0, step=0)
    np.testing.assert_array_equal(same[0], images)
    np.testing.assert_array_equal(same[1], targets)


def test_grey_images_and_two_classes_are_mixed_too() -> None:
    """One channel stays one channel, and one column of labels stays one."""
    grey = flat_images()[..., :1]
    targets = np.array([[0]] * 3 + [[1]] * 3, np.float32)
    for augmentation in (Augmentation(mixup=1.0), Augmentation(cutmix=1.0)):
        images, shares = mix(grey, targets, augmentation, seed=3, epoch=0, step=0)
        assert images.shape == grey.shape
        assert shares.shape == (6, 1)
        assert ((shares >= 0) & (shares <= 1)).all()
        assert ((shares > 0) & (shares < 1)).any()


def test_presets_do_not_mix() -> None:
    """Presets mean what they meant; mixing is asked for by its own parameters."""
    assert resolve_augmentation("strong").mixup == 0
    assert resolve_augmentation("strong", mixup=0.2, cutmix=1.0).cutmix == 1
    with pytest.raises(ArgumentError, match="mixup=-1"):
        Augmentation(mixup=-1)
