"""The conformance kit for architectures, and the template of a plugin."""
