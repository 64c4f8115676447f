"""From proposed actions to set-points: which action is sent, when, and within which limits."""
