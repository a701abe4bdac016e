"""Image folders become batches: folder -> decoding -> splitting -> store -> augmentation -> generators."""
