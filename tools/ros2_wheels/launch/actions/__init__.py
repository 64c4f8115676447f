"""Actions: what launch files are made of."""

from launch.actions.arguments import (
    DeclareLaunchArgument,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
)
from launch.actions.events import EmitEvent, LogInfo, RegisterEventHandler, Shutdown, TimerAction
from launch.actions.execute_process import ExecuteProcess
from launch.actions.grouping import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.subset import refuse_missing

__all__ = [
    "DeclareLaunchArgument",
    "EmitEvent",
    "ExecuteProcess",
    "GroupAction",
    "IncludeLaunchDescription",
    "LogInfo",
    "OpaqueFunction",
    "RegisterEventHandler",
    "SetEnvironmentVariable",
    "SetLaunchConfiguration",
    "Shutdown",
    "TimerAction",
]

__getattr__ = refuse_missing(__name__)
