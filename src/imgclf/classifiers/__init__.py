"""A trained network with its classes and input policy, and its file."""
