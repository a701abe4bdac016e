"""The scan and its worker processes; pixels and features on disk."""
