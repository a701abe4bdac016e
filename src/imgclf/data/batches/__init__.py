"""From pixels to batches: plan, augmentation, generators."""
