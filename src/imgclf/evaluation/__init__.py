"""How good a classifier is, told with its uncertainty."""
