"""Figures as plain arithmetic: from labels and probabilities to numbers."""
