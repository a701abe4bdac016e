"""What training images look like to a trained network."""

from __future__ import annotations

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.familiarity import Familiarity, learn_familiarity
from imgclf.data.batches.image_data import ImageData
from imgclf.data.store.pixel_store import StoreMode

__all__ = ["learn_familiar_images"]


def learn_familiar_images(
    classifier: Classifier, data: ImageData, store: StoreMode
) -> Familiarity | None:
    """Look at the training and validation images with a trained network.

    Args:
        classifier: The network and how it reads images.
        data: The images.
        store: Where features are kept.

    Returns:
        What is needed to recognise images that are unlike them; None where the network gives
        nothing to go by.
    """
    return learn_familiarity(classifier.features, data.train, data.val)
