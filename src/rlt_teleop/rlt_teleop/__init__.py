"""The person's side: input devices, and the operator node that maps them."""
