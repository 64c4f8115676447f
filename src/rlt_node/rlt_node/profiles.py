"""Where the profiles of input devices are: config/gamepads/*.yaml, or a file of one's own."""

from __future__ import annotations

from pathlib import Path

from rlt_core.files import named_file


def find_profile(name: str, folder: Path | None = None) -> Path:
    """File of a profile.

    Args:
        name: A file of config/gamepads without .yaml, or the path of a .yaml file.
        folder: The folder config/gamepads; default: the installed one.

    Raises:
        FileNotFoundError: If there is none; names those that there are.
    """
    return named_file("profile", name, _installed() if folder is None else folder)


def _installed() -> Path:
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("rlt_bringup")) / "config" / "gamepads"
