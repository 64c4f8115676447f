"""What actions read and change while a launch runs."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launch.launch_service import LaunchService
    from launch.substitution import Substitution


class LaunchContext:
    """The state that actions share.

    Attributes:
        launch_configurations: launch arguments and other named texts.
        environment: the environment variables that processes will see.
        service: the running launch; None outside of one.
    """

    def __init__(self, *, service: "LaunchService | None" = None) -> None:
        self.launch_configurations: dict[str, Any] = {}
        self.environment = dict(os.environ)
        self.service = service
        self._scopes: list[tuple[dict[str, Any], dict[str, str]]] = []

    @property
    def is_shutdown(self) -> bool:
        """Whether the launch is ending."""
        return self.service is not None and self.service.is_shutting_down

    def perform_substitution(self, substitution: "Substitution") -> str:
        """The text of a substitution in this context."""
        return substitution.perform(self)

    def push(self) -> None:
        """Open a scope: what is set from now on is undone by `pop`."""
        self._scopes.append((dict(self.launch_configurations), dict(self.environment)))

    def pop(self) -> None:
        """Close the innermost scope."""
        self.launch_configurations, self.environment = self._scopes.pop()
