"""Image folders become batches: folder, decoding, store, splitting, augmentation, generators."""
