"""Fix what the wheels export to CMake: `python -m ros2_wheels.cmake_paths` after an installation.

Their exported CMake files name the Python of the machine that built them
(`/opt/python/cp311-cp311/...`); here they get the paths of this interpreter.
"""

import re
import sys
import sysconfig
from pathlib import Path

BUILDER_INCLUDE = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")
BUILDER_PACKAGES = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages")


def fix_paths(prefix: Path, include: str, site_packages: str) -> int:
    """Rewrite the builder's paths in `prefix/share/**/*.cmake`.

    Args:
        prefix: the environment that holds the wheels.
        include: this interpreter's C headers.
        site_packages: this environment's packages (numpy's headers are below it).

    Returns:
        How many files were changed; 0 if nothing was wrong.
    """
    changed = 0
    for path in sorted(prefix.glob("share/**/*.cmake")):
        text = path.read_text(encoding="utf-8")
        fixed = BUILDER_INCLUDE.sub(lambda _: include, text)
        fixed = BUILDER_PACKAGES.sub(lambda _: site_packages, fixed)
        if fixed != text:
            path.write_text(fixed, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    fix_paths(Path(sys.prefix), sysconfig.get_paths()["include"], sysconfig.get_paths()["purelib"])
