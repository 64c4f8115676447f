"""The policy: observations in, features and action chunks out."""
