"""The kit that checks an architecture, and the template that a plugin begins with."""
