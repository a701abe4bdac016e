"""Which image belongs to which split, and which images belong together."""
