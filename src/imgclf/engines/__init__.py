"""What executes a network, and the one small contract for all of them."""
