"""What there is on this machine, what is wrong with it, and how to mend it."""
