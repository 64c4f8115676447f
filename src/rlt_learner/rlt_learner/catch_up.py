"""Asks the recorder for the commits that a learner has missed, one bounded page at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rlt_interfaces.srv import GetTransitions
from rlt_learner.intake import Intake

PAGE_SECONDS = 5.0
REPEAT_SECONDS = 2.0
LARGEST = GetTransitions.Request.MAX_PAGE


class CatchUp:
    """The client of `get_transitions`."""

    def __init__(
        self,
        node: Any,
        intake: Intake,
        folded: Callable[[], int],
        take: Callable[[GetTransitions.Response], None],
    ) -> None:
        """Make the client.

        Args:
            node: A guarded node.
            intake: Knows what is missing.
            folded: Tells the highest seq that replay holds.
            take: Called with every page that comes.
        """
        self._node = node
        self._intake = intake
        self._folded = folded
        self._take = take
        self._client = node.create_client(GetTransitions, "get_transitions")
        self._asked: Any = None
        self._answer_due = 0.0

    def close(self) -> None:
        """Ask no more."""
        self._node.destroy_client(self._client)

    def watch(self, run: str) -> None:
        """Ask if a commit of the run has been missing since the last call."""
        if self._intake.overdue(self._folded()) and time.monotonic() >= self._answer_due:
            self._ask(run)

    def _ask(self, run: str) -> None:
        first, count = self._intake.page(self._folded(), LARGEST)
        if not count or not run:
            return
        if self._asked is not None:
            self._client.remove_pending_request(self._asked)  # a reply that never came
        self._answer_due = time.monotonic() + PAGE_SECONDS
        request = GetTransitions.Request(run=run, first_seq=first, count=count)
        self._asked = self._client.call_async(request)
        self._asked.add_done_callback(
            self._node.guarded(lambda future: self._on_page(run, future.result()))
        )

    def _on_page(self, run: str, page: GetTransitions.Response) -> None:
        self._asked, self._answer_due = None, 0.0
        if not page.success:
            self._node.get_logger().error(page.message, throttle_duration_sec=REPEAT_SECONDS)
            return
        self._take(page)
        if page.transitions:
            self._ask(run)
