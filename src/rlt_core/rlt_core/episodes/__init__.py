"""The episodes of a run: schedule, phases and labels, and statistics of their results."""
