"""The way from a folder of images to a classifier."""
