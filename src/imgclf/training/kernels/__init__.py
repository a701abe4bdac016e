"""Fast kernels for the layers of a network while it is trained; `fast_kernels` is their door."""
