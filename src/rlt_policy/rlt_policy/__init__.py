"""The nodes between cameras and robot: observer, policy, chunk_controller."""
