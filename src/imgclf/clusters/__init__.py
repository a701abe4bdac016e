"""Ray clusters: reaching one, and what it has room for; needs the extra ``ray``."""
