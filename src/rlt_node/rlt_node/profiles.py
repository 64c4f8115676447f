"""Finds the profiles of input devices: config/gamepads/*.yaml, or any other file."""

from __future__ import annotations

from pathlib import Path

from rlt_core.files import named_file
from rlt_node.configuration import installed_configuration


def find_profile(name: str, folder: Path | None = None) -> Path:
    """Find the file of a profile.

    Args:
        name: A file of config/gamepads without .yaml, or the path of a .yaml file.
        folder: The folder config/gamepads; default: the installed one.

    Raises:
        FileNotFoundError: If the file does not exist; lists the known ones.
    """
    return named_file("profile", name, folder or installed_configuration() / "config" / "gamepads")
