"""Batches of images: the plan, augmentation, and the datasets that training reads."""
