"""Requests from a recorder the commits that a learner lacks, one bounded page at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rlt_interfaces.srv import GetTransitions
from rlt_node.service_servers import naming_all_servers

PAGE_SECONDS = 5.0
REPEAT_SECONDS = 2.0
LARGEST = GetTransitions.Request.MAX_PAGE
SMALLEST = 4

Take = Callable[[GetTransitions.Response], None]


class CatchUp:
    """The client of a recorder's `get_transitions`: one request at a time.

    A page that takes longer than `PAGE_SECONDS` is abandoned, and the next one is half as large,
    so that some page arrives however slow the link is; each that arrives in time doubles the size.

    Attributes:
        largest: Most commits that may be requested now.
    """

    def __init__(self, node: Any, name: str) -> None:
        """Make the client.

        Args:
            node: A `FailFastNode`.
            name: Name of the service.
        """
        self.largest = LARGEST
        self._node = node
        self._client = node.create_client(GetTransitions, name)
        self._asked: Any = None
        self._answer_due = 0.0

    def close(self) -> None:
        """Make no more requests."""
        self._node.destroy_client(self._client)

    def ask(self, run: str, first: int, count: int, take: Take) -> None:
        """Request commits, unless an answer is still awaited.

        Args:
            run: Identifier of the run.
            first: Seq of the first one.
            count: How many, at most `largest`.
            take: Called with the page that is received.
        """
        if self._asked is not None:
            if time.monotonic() < self._answer_due:
                return
            self._client.remove_pending_request(self._asked)  # the reply did not come
            if self._client.service_is_ready():  # without a server, no page is too large
                self.largest = max(SMALLEST, self.largest // 2)
        self._answer_due = time.monotonic() + PAGE_SECONDS
        request = GetTransitions.Request(run=run, first_seq=first, count=min(count, self.largest))
        self._asked = self._client.call_async(request)
        self._asked.add_done_callback(
            self._node.fail_fast(lambda future: self._on_page(future.result(), take))
        )

    def _on_page(self, page: GetTransitions.Response, take: Take) -> None:
        self._asked = None
        if not page.success:
            # A recorder of another run refuses, and of two answers only the first is used.
            message = naming_all_servers(page.message, self._node, self._client)
            self._node.get_logger().error(message, throttle_duration_sec=REPEAT_SECONDS)
            return
        self.largest = min(LARGEST, 2 * self.largest)
        take(page)
