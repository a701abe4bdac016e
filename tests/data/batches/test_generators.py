from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from forked_python import ForkedPython
from imgclf.data.batches.dataset import Batches
from imgclf.data.batches.generators import make_generators
from imgclf.data.batches.image_data import build_data
from imgclf.data.pixels.decoder import decode
from imgclf.errors import ArgumentError, DataError, DataNotFoundError, DataWarning

MakeFolder = Callable[..., Path]
SMALL: dict[str, Any] = {"image_size": (8, 8), "batch_size": 4}


@pytest.fixture
def two_folders(make_folder: MakeFolder) -> tuple[Path, Path]:
    """Write a training and a validation folder with different images."""
    train = make_folder("t", cat=5, dog=6)
    val = make_folder("v", cat=1, dog=1)
    for number, path in enumerate(sorted(val.rglob("*.png"))):
        path.write_bytes(_other_picture(number))
    return train, val


def _other_picture(number: int) -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    pixels = np.random.default_rng(900 + number).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def digest(batches: tf.data.Dataset) -> str:
    """Hash all images and labels of one iteration."""
    found = hashlib.sha256()
    for images, labels in batches:
        found.update(images.numpy().tobytes() + labels.numpy().tobytes())
    return found.hexdigest()


# --- What batches are ------------------------------------------------------------------------


def test_batches_are_a_dataset_that_knows_its_images(two_folders: tuple[Path, Path]) -> None:
    """They are a real tf.data.Dataset with names, paths, labels, sizes and plan."""
    train, val = make_generators(*two_folders, **SMALL)
    assert isinstance(train, tf.data.Dataset)
    assert train.class_names == val.class_names == ("cat", "dog")
    assert (train.num_classes, train.num_samples, train.batch_size) == (2, 11, 4)
    assert train.steps_per_epoch == len(train) == 3
    assert train.input_shape == (8, 8, 3)
    assert train.labels.tolist() == [0] * 5 + [1] * 6
    assert len(train.file_paths) == 11
    assert all(Path(path).is_file() for path in train.file_paths)
    assert train.element_spec[0].shape.as_list() == [None, 8, 8, 3]
    assert train.element_spec[1].shape.as_list() == [None, 1]


def test_two_classes_give_one_column(two_folders: tuple[Path, Path]) -> None:
    """Images are uint8, labels float32 (batch, 1); the last batch is smaller."""
    train, _ = make_generators(*two_folders, **SMALL)
    shapes = [(images.shape.as_list(), labels.shape.as_list()) for images, labels in train]
    assert shapes == [([4, 8, 8, 3], [4, 1])] * 2 + [([3, 8, 8, 3], [3, 1])]
    images, labels = next(iter(train))
    assert (images.dtype, labels.dtype) == (tf.uint8, tf.float32)


def test_more_classes_give_one_column_each(make_folder: MakeFolder) -> None:
    """Three classes are one-hot."""
    train, _ = make_generators(make_folder(a=9, b=9, c=9), **SMALL)
    _, labels = next(iter(train))
    assert labels.shape.as_list() == [4, 3]
    assert labels.numpy().sum(axis=1).tolist() == [1.0] * 4


def test_channels_first(two_folders: tuple[Path, Path]) -> None:
    """channels_first is honoured in shape and in pixels."""
    options: dict[str, Any] = {**SMALL, "augment": "none", "image_size": (8, 6)}
    _, last = make_generators(*two_folders, **options)
    _, first = make_generators(*two_folders, **options, data_format="channels_first")
    assert first.input_shape == (3, 8, 6)
    (images, _), (turned, _) = next(iter(last)), next(iter(first))
    np.testing.assert_array_equal(turned.numpy().transpose(0, 2, 3, 1), images.numpy())


def test_grey_images(two_folders: tuple[Path, Path]) -> None:
    """channels=1 gives one channel."""
    train, _ = make_generators(*two_folders, **SMALL, channels=1)
    assert next(iter(train))[0].shape.as_list() == [4, 8, 8, 1]


def test_validation_images_are_never_shuffled(two_folders: tuple[Path, Path]) -> None:
    """Validation batches are the decoder's pixels in the order of the paths, in every epoch."""
    _, val = make_generators(*two_folders, **SMALL)
    for _ in range(2):
        images = np.concatenate([batch.numpy() for batch, _ in val])
        for image, path in zip(images, val.file_paths, strict=True):
            np.testing.assert_array_equal(image, decode(path, val.policy))


def test_plain_pixels_can_be_read(two_folders: tuple[Path, Path]) -> None:
    """pixels() yields training images without shuffling and augmentation."""
    train, _ = make_generators(*two_folders, **SMALL, augment="strong")
    images = np.concatenate(list(train.pixels()))
    np.testing.assert_array_equal(images[10], decode(train.file_paths[10], train.policy))


# --- Epochs and seeds ------------------------------------------------------------------------


def test_every_iteration_is_the_next_epoch(two_folders: tuple[Path, Path]) -> None:
    """Iterating again gives the next epoch; repeat() does the same inside one iteration."""
    train, _ = make_generators(*two_folders, **SMALL)
    epochs = [digest(train) for _ in range(3)]
    assert len(set(epochs)) == 3
    again, _ = make_generators(*two_folders, **SMALL)
    repeated = [images.numpy().tobytes() for images, _ in again.repeat(2)]
    train, _ = make_generators(*two_folders, **SMALL)
    one_by_one = [images.numpy().tobytes() for _ in range(2) for images, _ in train]
    assert repeated == one_by_one


@pytest.mark.parametrize("image_size", [(8, 8), (64, 64)])
def test_a_stream_equals_iteration(
    two_folders: tuple[Path, Path], image_size: tuple[int, int]
) -> None:
    """stream(epoch, step) starts anywhere and gives the very batches of iterating that far."""
    settings = {**SMALL, "image_size": image_size}
    train, _ = make_generators(*two_folders, **settings, augment="strong")
    iterated = [images.numpy().tobytes() for _ in range(3) for images, _ in train]
    steps = range(train.steps_per_epoch)
    alone = [train.source.load(epoch, step)[0] for epoch in range(3) for step in steps]
    assert iterated == [images.tobytes() for images in alone]
    streamed = [images.numpy().tobytes() for images, _ in train.stream().take(9)]
    assert streamed == iterated
    middle = [images.numpy().tobytes() for images, _ in train.stream(1, 2).take(4)]
    assert middle == iterated[5:9]


SCRIPT = """
import hashlib, sys, imgclf
train, val = imgclf.make_generators(sys.argv[1], sys.argv[2], image_size=(8, 8), batch_size=4,
                                    augment="strong", seed=5)
found = hashlib.sha256()
for epoch in range(2):
    for images, labels in train:
        found.update(images.numpy().tobytes() + labels.numpy().tobytes())
print(found.hexdigest())
"""


def test_the_same_seed_gives_the_same_batches_in_two_processes(
    two_folders: tuple[Path, Path], forked_python: ForkedPython
) -> None:
    """Two processes with one seed see the same two epochs, bit for bit."""
    other = forked_python.run(SCRIPT, *two_folders).stdout.strip()
    train, _ = make_generators(*two_folders, **SMALL, augment="strong", seed=5)
    found = hashlib.sha256()
    for images, labels in (batch for _ in range(2) for batch in train):
        found.update(images.numpy().tobytes() + labels.numpy().tobytes())
    assert other == found.hexdigest()


def test_another_seed_gives_other_batches(two_folders: tuple[Path, Path]) -> None:
    """The seed decides order and augmentation."""
    digests = {digest(make_generators(*two_folders, **SMALL, seed=seed)[0]) for seed in (0, 1, 0)}
    assert len(digests) == 2


def test_the_users_keras_settings_change_nothing(two_folders: tuple[Path, Path]) -> None:
    """Floatx and image_data_format of Keras do not reach the batches."""
    import keras

    before = digest(make_generators(*two_folders, **SMALL)[0])
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    try:
        assert digest(make_generators(*two_folders, **SMALL)[0]) == before
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")


# --- Plans -----------------------------------------------------------------------------------


def test_a_plan_pickles_and_builds_again(two_folders: tuple[Path, Path]) -> None:
    """A pickled plan gives the same batches in another place, out of the store."""
    train, _ = make_generators(*two_folders, **SMALL, augment="light", seed=3)
    plan = pickle.loads(pickle.dumps(train.plan))  # noqa: S301 - our own plan
    assert plan == train.plan
    data = build_data(plan)
    assert digest(data.train) == digest(train)
    assert isinstance(data.val, Batches)


def test_relative_folders_become_absolute(
    two_folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan can be built from another working directory."""
    monkeypatch.chdir(two_folders[0].parent)
    train, _ = make_generators("t", "v", **SMALL)
    monkeypatch.chdir("/")
    assert digest(build_data(train.plan).train) == digest(train)


# --- Where validation images come from --------------------------------------------------------


def test_one_folder_is_divided(make_folder: MakeFolder) -> None:
    """Without a validation folder a share is cut off; no image is on both sides."""
    train, val = make_generators(make_folder(a=30, b=30), **SMALL, val_split=0.3)
    assert train.num_samples + val.num_samples == 60
    assert not set(train.file_paths) & set(val.file_paths)
    assert 8 <= val.num_samples <= 28


def test_split_folders_are_taken_as_they_are(make_folder: MakeFolder) -> None:
    """train/ and val/ inside one folder are used as given."""
    root = make_folder(train__a=4, train__b=4, val__a=2, val__b=2, test__a=3, test__b=3)
    train, val = make_generators(root, **SMALL)
    assert (train.num_samples, val.num_samples) == (8, 4)
    assert build_data(train.plan).test.num_samples == 6


def test_copies_of_training_images_are_dropped_from_validation(
    two_folders: tuple[Path, Path],
) -> None:
    """A validation image that is also trained on is left out and counted."""
    train_dir, val_dir = two_folders
    (val_dir / "cat" / "copy.png").write_bytes((train_dir / "cat" / "0000.png").read_bytes())
    train, val = make_generators(train_dir, val_dir, **SMALL)
    assert val.num_samples == 2
    assert build_data(train.plan).num_leaked == 1


def test_a_validation_folder_that_is_all_copies_is_refused(make_folder: MakeFolder) -> None:
    """Giving the training folder twice is an error, not a figure of 100 %."""
    root = make_folder(a=3, b=3)
    with pytest.raises(DataError, match="Every val image is also a training image"):
        make_generators(root, root, **SMALL)


def test_validation_classes_are_matched_by_name(two_folders: tuple[Path, Path]) -> None:
    """A class that validation lacks shifts no label, and is remarked on."""
    train_dir, val_dir = two_folders
    (val_dir / "cat" / "0000.png").unlink()
    train, val = make_generators(train_dir, val_dir, **SMALL)
    assert val.class_names == ("cat", "dog")
    assert val.labels.tolist() == [1]
    assert any("'cat'" in warning for warning in build_data(train.plan).warnings)


# --- Errors ----------------------------------------------------------------------------------


def test_unreadable_files_are_left_out_with_a_warning(two_folders: tuple[Path, Path]) -> None:
    """A bad file is named in a warning and never reaches an epoch."""
    (two_folders[0] / "cat" / "bad.jpg").write_bytes(b"\xff\xd8\xffbroken")
    with pytest.warns(DataWarning, match=r"bad\.jpg"):
        train, _ = make_generators(*two_folders, **SMALL)
    assert train.num_samples == 11


def test_strict_stops_at_an_unreadable_file(two_folders: tuple[Path, Path]) -> None:
    """strict=True turns the first bad file into an error that names it."""
    (two_folders[0] / "cat" / "bad.jpg").write_bytes(b"\xff\xd8\xffbroken")
    with pytest.raises(DataError, match=r"bad\.jpg.*strict"):
        make_generators(*two_folders, **SMALL, strict=True)


def test_a_class_without_usable_images_is_named(make_folder: MakeFolder) -> None:
    """A class of which nothing can be decoded is an error, not a class that is never seen."""
    root = make_folder(a=5, b=5, c=2)
    for path in (root / "c").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="no usable training image of 'c'"):
        make_generators(root, **SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"image_size": (8,)}, "image_size"),
        ({"image_size": (8, 8, 3)}, "image_size"),
        ({"image_size": (0, 8)}, "image_size"),
        ({"channels": 2}, "channels=2"),
        ({"augment": "much"}, "augment='much'"),
        ({"store": "tape"}, "store='tape'"),
        ({"val_split": 1.0}, "val_split=1.0"),
        ({"resize": "zoom"}, "resize='zoom'"),
    ],
)
def test_wrong_arguments_are_named(
    make_folder: MakeFolder, options: dict[str, Any], message: str
) -> None:
    """Every argument out of range gets an error that names it and says what is accepted."""
    with pytest.raises(ArgumentError, match=message):
        make_generators(make_folder(a=3, b=3), **{**SMALL, **options})


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A wrong path is one sentence."""
    with pytest.raises(DataNotFoundError, match="nowhere"):
        make_generators(tmp_path / "nowhere")


# --- Together with Keras ---------------------------------------------------------------------


def test_batches_go_into_plain_keras(two_folders: tuple[Path, Path]) -> None:
    """Keras' own fit takes them, for several epochs, without running out of data."""
    import keras

    train, val = make_generators(*two_folders, **SMALL)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("sgd", "binary_crossentropy", jit_compile=False)
    history = model.fit(train, validation_data=val, epochs=3, shuffle=False, verbose=0)
    assert len(history.history["val_loss"]) == 3
