"""Faults 1 to 54: real nodes as processes, a robot that logs, and what must happen."""
