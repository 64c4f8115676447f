"""A person's requests as service calls: they never block, and each is answered to the person."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlt_interfaces.srv import Abort, Discard, Handover, LabelSuccess, PauseLearning
from rlt_node.node import FailFastNode
from rlt_node.service_servers import naming_all_servers

PATIENCE_S = 2.0
"""How long an answer may take before its absence is reported to the person."""

SERVICES: dict[str, tuple[Any, str, str]] = {
    "success": (LabelSuccess, "label_success", "episodes"),
    "failure": (LabelSuccess, "label_success", "episodes"),
    "discard": (Discard, "discard", "episodes"),
    "handover": (Handover, "handover", "episodes"),
    "abort": (Abort, "abort", "episodes"),
    "pause": (PauseLearning, "pause_learning", "learner"),
}
"""Function -> type and name of its service, and the node that serves it."""


@dataclass(frozen=True)
class Answer:
    """The result of a request.

    Attributes:
        function: What was asked for.
        applied: Whether it was applied.
        message: The reply, or why there is none.
    """

    function: str
    applied: bool
    message: str


class Requests:
    """Sends requests, and reports their answers.

    If two nodes offer a service both are called: an abort must not wait until one is gone. The
    answer then names them.
    """

    def __init__(self, node: FailFastNode, told: Callable[[Answer], None]) -> None:
        """Set up.

        Args:
            node: The node that sends them.
            told: Called with every answer.
        """
        self._node = node
        self._told = told
        kinds = {name: kind for kind, name, _ in SERVICES.values()}
        self._clients = {name: node.create_client(kind, name) for name, kind in kinds.items()}
        self._waiting: dict[str, tuple[Any, float]] = {}

    def ask(self, function: str, **fields: Any) -> None:
        """Request a function; `fields` are those of the service's request."""
        kind, name, server = SERVICES[function]
        client = self._clients[name]
        if function in self._waiting:
            self._told(Answer(function, False, "the last request has not been answered yet"))
        elif not client.service_is_ready():
            service = self._node.resolve_service_name(name)
            message = f"the node {server} does not offer {service}: check that it runs"
            self._told(Answer(function, False, message))
        else:
            future = client.call_async(kind.Request(**fields))
            self._waiting[function] = (future, time.monotonic())
            answered = self._node.fail_fast(lambda future: self._on_answer(function, future))
            future.add_done_callback(answered)

    def check(self) -> None:
        """Give up requests that have waited too long."""
        for function, (future, asked) in list(self._waiting.items()):
            if time.monotonic() - asked > PATIENCE_S:
                _, name, server = SERVICES[function]
                self._clients[name].remove_pending_request(future)
                del self._waiting[function]
                message = f"the node {server} has not answered within {PATIENCE_S:g} s: check it"
                self._told(Answer(function, False, message))

    def _on_answer(self, function: str, future: Any) -> None:
        if self._waiting.get(function, (None,))[0] is not future:
            return  # given up
        del self._waiting[function]
        reply, client = future.result(), self._clients[SERVICES[function][1]]
        message = naming_all_servers(reply.message, self._node, client)
        self._told(Answer(function, reply.success, message))
