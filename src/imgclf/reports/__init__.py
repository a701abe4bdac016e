"""What is written about a run for people: report, model card, comparison, label issues."""
