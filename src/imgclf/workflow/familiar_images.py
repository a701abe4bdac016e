"""What training images look like to a trained network."""

from __future__ import annotations

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.familiarity import (
    MOST_IMAGES,
    Familiarity,
    fit_pretrained_familiarity,
    learn_familiarity,
)
from imgclf.engines.fingerprint import network_fingerprint
from imgclf.training.frozen_features import compute_features, divide_network
from imgclf.training.two_phase import in_two_phases
from imgclf.workflow.learner import Learned

__all__ = ["learn_familiar_images"]


def learn_familiar_images(classifier: Classifier, learned: Learned) -> Familiarity | None:
    """Look at the training and validation images with a trained network.

    Args:
        classifier: The network and how it reads images.
        learned: What it was trained on, and how.

    Returns:
        What is needed to recognise images that are unlike them; None where the network gives
        nothing to go by.
    """
    data, store = learned.data, learned.settings.store
    if in_two_phases(classifier.model, None):
        divided = divide_network(classifier.model)
        if divided.has_linear_head:
            # Of a backbone that is as it was, the features of all images are there already.
            train = data.train if learned.backbone_is_frozen else data.train.some(MOST_IMAGES)
            fingerprint = network_fingerprint(divided.frozen)
            known, val = (
                compute_features(divided.frozen, one, mode=store, fingerprint=fingerprint)
                for one in (train, data.val)
            )
            return fit_pretrained_familiarity(known, train.labels, val, train.num_classes)
    return learn_familiarity(classifier.features, data.train, data.val)
