"""How the layers of a network compute while it is trained."""
