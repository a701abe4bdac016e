"""Image folders become batches: reading, pixels, store, division, batches; checks and a demo."""
