"""The zoo: one architecture family a file, registered through entry points like any plugin."""
