"""The scan in worker processes, and the cache of decoded pixels and features."""
