"""A training's settings, its run folder, and what is recorded there."""
