"""The nodes recorder and learner."""
