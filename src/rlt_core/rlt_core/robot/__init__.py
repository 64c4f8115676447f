"""The robot file: what one robot measures, how it is driven, and within which limits."""
