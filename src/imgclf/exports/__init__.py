"""A classifier in forms that other software runs."""
