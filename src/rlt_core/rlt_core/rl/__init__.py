"""The actor-critic and its training: RL token, networks, replay buffer, trainer."""
