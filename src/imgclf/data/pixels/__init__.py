"""From a file to the uint8 pixels that a network reads."""
