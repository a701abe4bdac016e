"""Classifiers in the formats of other programs, with the proof that they answer the same."""
