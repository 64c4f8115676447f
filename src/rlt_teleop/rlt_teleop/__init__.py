"""The person's side: devices, the operator that maps them, and the episodes node."""
