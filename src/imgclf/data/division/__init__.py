"""The split of images into train, validation and test; groups, copies and leaks."""
