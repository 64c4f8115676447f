"""The one error that ends a command with a sentence instead of a traceback."""


class CommandError(Exception):
    """What the user asked for cannot be done; the text says why and what would help."""
