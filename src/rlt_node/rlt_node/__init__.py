"""What every node shares: parameters from tables, QoS, message conversions, start and stop."""
