"""Code that all nodes share: parameters, QoS, message conversions, start and stop."""
