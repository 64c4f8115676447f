"""The base of all events."""


class Event:
    """Something that happened; handlers that match it answer with actions."""
