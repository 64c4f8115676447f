"""Where launch descriptions come from."""

from launch.launch_description_source import LaunchDescriptionSource
from launch.subset import refuse_missing


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file."""


__getattr__ = refuse_missing(__name__)
