"""A lifecycle node that starts itself, or reports in one sentence why it could not."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from rlt_core.settings import setting
from rlt_node.node import FailFast
from rlt_node.parameters import declare
from rlt_node.process import FORESEEN, NodeError


@dataclass(frozen=True)
class AutostartSettings:
    """Whether a lifecycle node starts itself or waits for a manager."""

    autostart: bool = setting(True, "whether the node configures and activates itself")


class SelfStartingNode(FailFast, LifecycleNode):
    """Loads in `configure`, works between activation and deactivation."""

    def __init__(self, name: str) -> None:
        """Declare the autostart parameter; `autostart` is called once the node is complete."""
        super().__init__(name)
        self.active = False
        self._error = ""
        self._start_alone = declare(self, AutostartSettings).autostart

    def configure(self) -> None:
        """Load everything that takes time.

        Raises:
            ValueError, OSError: If something is missing or does not fit together.
        """
        raise NotImplementedError

    def cleanup(self) -> None:
        """Undo `configure`."""
        raise NotImplementedError

    def autostart(self) -> None:
        """Configure and activate, unless a manager does so.

        Raises:
            NodeError: If configuring fails.
        """
        if not self._start_alone:
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise NodeError(self._error or f"{transition.__name__} failed, rclpy hides why")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load; an expected error is logged and leaves the node unconfigured."""
        return self._attempt(self.configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to work."""
        self.active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working; keep what is loaded."""
        self.active = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unload."""
        return self._attempt(self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working permanently."""
        self.active = False
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an unexpected error in a transition: unconfigured again, to allow a retry."""
        self.active = False
        return TransitionCallbackReturn.SUCCESS

    def _attempt(self, work: Callable[[], None]) -> TransitionCallbackReturn:
        """Do the work of a transition; rclpy itself would hide its exceptions."""
        try:
            work()
        except FORESEEN as error:
            self._error = str(error) or repr(error)
            if not self._start_alone:
                self.get_logger().error(self._error)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            traceback.print_exception(error)
            self._error = f"unexpected {error!r}: see the traceback above"
            self.get_logger().error(self._error)
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS
