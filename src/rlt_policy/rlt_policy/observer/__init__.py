"""The observer: cameras and robot state in, one observation per stride tick out."""
