"""Training: fitting, precision, schedules, progress."""
