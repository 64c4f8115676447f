"""Where the installed configurations and models are, whichever package installs them."""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from ament_index_python.resources import get_resources

RESOURCE = "rlt_configuration"
"""Type of the ament resource by which a package says that its share has config/ and models/."""


def installed_configuration() -> Path:
    """The share folder that holds config/ and models/.

    Raises:
        FileNotFoundError: If no package installs one, or several do.
    """
    packages = sorted(get_resources(RESOURCE))
    if len(packages) != 1:
        found = "several packages do: " + ", ".join(packages) if packages else "no package does"
        raise FileNotFoundError(
            f"expected one installed package with RLT's configuration, but {found}: build and "
            "source rlt_bringup, or give the path of a file"
        )
    return Path(get_package_share_directory(packages[0]))
