"""What Keras has to know to read files of imgclf's models: importing this module registers it.

A `.keras` file names classes; those of imgclf are an initializer of some architectures, the
optimizer Muon, the rising rate of `find_learning_rate` and the accuracy of soft labels. In a
process that has not built or trained with imgclf before::

    import imgclf.keras_objects
    model = keras.models.load_model("model.keras")
"""

from __future__ import annotations

from imgclf.architectures._initializers import CentredHeNormal, PassOnHeNormal
from imgclf.training.muon import KernelMuon
from imgclf.training.rate_finder import RisingRate
from imgclf.training.soft_labels import SoftBinaryAccuracy

__all__ = ["CentredHeNormal", "KernelMuon", "PassOnHeNormal", "RisingRate", "SoftBinaryAccuracy"]
