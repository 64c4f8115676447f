"""A documented subset of ROS 2's `launch_ros`, for machines whose ROS 2 comes from Python wheels.

Same import paths, class names and behaviour as the original; see ../README.md for what is here.
"""

from launch.subset import refuse_missing
from launch_ros import actions, parameter_descriptions, substitutions

__all__ = ["actions", "parameter_descriptions", "substitutions"]

__getattr__ = refuse_missing(__name__)
