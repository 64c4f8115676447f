"""The recorder: messages in, the run's log of transitions out."""
