"""The nodes recorder and learner; the commands pretrain, benchmark and report."""
