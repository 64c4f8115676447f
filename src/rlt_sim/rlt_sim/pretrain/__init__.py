"""Command `pretrain`: what the method takes as given, a base policy and its RL token."""
