"""Faults 1 to 28: real nodes as processes, a robot that logs, and what must happen."""
