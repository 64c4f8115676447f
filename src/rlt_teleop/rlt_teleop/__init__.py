"""The person's side: the episodes node, the only writer of labels and phases."""
