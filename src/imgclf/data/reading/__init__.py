"""Reading image folders, CSV files and ZIP files: which files there are, and their labels."""
