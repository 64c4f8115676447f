"""Where the profiles of input devices are: config/gamepads/*.yaml, or a file of one's own."""

from __future__ import annotations

from pathlib import Path

from rlt_core.files import path_of


def find_profile(name: str, folder: Path | None = None) -> Path:
    """File of a profile.

    Args:
        name: A file of config/gamepads without .yaml, or the path of a .yaml file.
        folder: The folder config/gamepads; default: the installed one.

    Raises:
        FileNotFoundError: If there is none; names those that there are.
    """
    if name.endswith((".yaml", ".yml")):
        path = path_of(name).absolute()
        if not path.is_file():
            raise FileNotFoundError(f"there is no profile file {path}")
        return path
    folder = _installed() if folder is None else folder
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise FileNotFoundError(
            f"there is no profile {name!r}: expected one of {known}, or the path of a .yaml file"
        )
    return path


def _installed() -> Path:
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("rlt_bringup")) / "config" / "gamepads"
