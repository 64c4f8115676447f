"""Where a launch description comes from."""

import importlib.util
from pathlib import Path

from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import perform


class LaunchDescriptionSource:
    """A Python launch file, whose path may hold substitutions."""

    def __init__(self, location: SomeSubstitutionsType) -> None:
        self.location = location
        self._loaded: tuple[Path, LaunchDescription] | None = None

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """Load the file, once.

        Raises:
            FileNotFoundError: there is no such file.
            RuntimeError: it does not define `generate_launch_description`.
        """
        path = Path(perform(context, self.location))
        if self._loaded is None or self._loaded[0] != path:
            self._loaded = path, _load(path)
        return self._loaded[1]


def _load(path: Path) -> LaunchDescription:
    if not path.is_file():
        raise FileNotFoundError(f"no launch file at {path}")
    spec = importlib.util.spec_from_file_location("python_launch_file", path)
    assert spec and spec.loader, f"{path} is not a Python file"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.generate_launch_description()
    except AttributeError:
        if hasattr(module, "generate_launch_description"):
            raise
        raise RuntimeError(f"{path} does not define generate_launch_description()") from None
