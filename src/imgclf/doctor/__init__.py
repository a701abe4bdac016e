"""Diagnosis of a machine: facts, problems and remedies."""
