"""Checks of an image folder before training: problems, and a preview."""
