"""The log of transitions: how they are built, stored on disk, sent and counted."""
