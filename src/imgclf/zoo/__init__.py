"""From an architecture's name to a network."""
