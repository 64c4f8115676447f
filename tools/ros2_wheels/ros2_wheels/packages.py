"""Packages and what they install, from the ament index."""

import os
from pathlib import Path

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_packages_with_prefixes,
)

from ros2_wheels.errors import CommandError


def package_names() -> list[str]:
    """All packages of the sourced workspaces, sorted."""
    return sorted(get_packages_with_prefixes())


def package_prefix(package: str) -> Path:
    """The installation prefix of a package.

    Raises:
        CommandError: there is no such package in the sourced workspaces.
    """
    try:
        return Path(get_package_prefix(package))
    except (PackageNotFoundError, ValueError):
        raise CommandError(
            f"package '{package}' not found; source env.sh, or see `ros2 pkg list`"
        ) from None


def executables(package: str) -> list[Path]:
    """The executable files of a package, sorted by name."""
    folder = package_prefix(package) / "lib" / package
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and os.access(path, os.X_OK))


def find_executable(package: str, name: str) -> Path:
    """The path of one executable.

    Raises:
        CommandError: the package, or the executable in it, does not exist.
    """
    found = {path.name: path for path in executables(package)}
    if name not in found:
        names = ", ".join(found) or "none"
        raise CommandError(f"package '{package}' has no executable '{name}'; it has: {names}")
    return found[name]
