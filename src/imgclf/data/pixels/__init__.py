"""Decoding: from an image file to the uint8 pixels that a network reads."""
