"""Evaluation of classifiers: figures with their uncertainty."""
