"""Which files there are, and what their labels are: folders, tables, archives."""
