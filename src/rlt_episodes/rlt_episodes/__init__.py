"""The episodes node: schedule, phases, labels, resets; the only writer of labels."""
