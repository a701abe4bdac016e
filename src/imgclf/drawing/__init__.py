"""Figures as pictures: the confusion matrix and the curves of a training."""
