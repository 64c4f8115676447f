"""The output of a launch: on the screen, and in a log file below ROS's log folder."""

import os
import sys
import time
from pathlib import Path


def log_folder() -> Path:
    """ROS's log folder: ROS_LOG_DIR, else ROS_HOME/log, else ~/.ros/log."""
    if folder := os.environ.get("ROS_LOG_DIR"):
        return Path(folder).expanduser()
    return Path(os.environ.get("ROS_HOME", "~/.ros")).expanduser() / "log"


class Console:
    """Writes lines to the screen and to `launch.log`; without a writable folder, to the screen."""

    def __init__(self) -> None:
        folder = log_folder() / time.strftime(f"%Y-%m-%d-%H-%M-%S-launch-{os.getpid()}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "launch.log").open(
                "a", buffering=1, encoding="utf-8", errors="replace"
            )
        except OSError as error:
            self._file = None
            self.warning("launch", f"no log file, since {folder} cannot be written: {error}")
        else:
            self.info("launch", f"All log files can be found below {folder}")

    def info(self, name: str, text: str) -> None:
        """Log a change."""
        self._say("INFO", name, text)

    def warning(self, name: str, text: str) -> None:
        """Log something unexpected."""
        self._say("WARNING", name, text)

    def error(self, name: str, text: str) -> None:
        """Log an error."""
        self._say("ERROR", name, text)

    def output(self, name: str, line: str, screen: bool) -> None:
        """Pass on a line that a process has written."""
        self._write(f"[{name}] {line}", screen)

    def close(self) -> None:
        """Close the log file."""
        if self._file:
            self._file.close()
            self._file = None

    def _say(self, level: str, name: str, text: str) -> None:
        self._write(f"[{level}] [{name}]: {text}", screen=True)

    def _write(self, line: str, screen: bool) -> None:
        if screen:
            try:
                print(line, flush=True)
            except (BrokenPipeError, ValueError):  # the reader is gone: the log file stays
                sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        if self._file:
            self._file.write(f"{time.time():.6f} {line}\n")
