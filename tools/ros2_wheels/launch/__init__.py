"""A documented subset of ROS 2's `launch`, for machines whose ROS 2 comes from Python wheels.

Same import paths, class names, output and exit codes as the original; see ../README.md for what
is here. Launch files written against it run unchanged on a ROS 2 installation.
"""

from launch import actions, conditions, event_handlers, events, substitutions
from launch.action import Action
from launch.condition import Condition
from launch.event import Event
from launch.event_handler import EventHandler
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_source import LaunchDescriptionSource
from launch.launch_service import LaunchService
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import refuse_missing
from launch.substitution import Substitution

__all__ = [
    "Action",
    "Condition",
    "Event",
    "EventHandler",
    "LaunchContext",
    "LaunchDescription",
    "LaunchDescriptionSource",
    "LaunchService",
    "SomeSubstitutionsType",
    "Substitution",
    "actions",
    "conditions",
    "event_handlers",
    "events",
    "substitutions",
]

__getattr__ = refuse_missing(__name__)
