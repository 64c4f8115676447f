"""The entry point of the `ros2` command; Ctrl-C may come while its modules are still imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see `command_line.run_command`.

    Args:
        argv: the words after `ros2`; those of the process by default.

    Returns:
        The exit code; 0 also after Ctrl-C.
    """
    try:
        from ros2_wheels.command_line import run_command  # takes most of a short command's time

        return run_command(argv)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
