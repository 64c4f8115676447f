"""Start and end of a node's process: signals, errors and exit codes.

Exit code 0 means that the node has done its work or was asked to end (SIGINT, SIGTERM, at any
moment, or the end of its launch); 1 means that it could not work, and 3 that it has ended and lost
data, with one sentence that states why. rclpy is imported only after signal handling is set up,
since these imports take half a second.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import os
import re
import signal
import sys
import threading
import time
import traceback
from types import FrameType
from typing import Any

from rlt_node import launch_watch
from rlt_node.name_claims import claim_node, remapped_name

MASKED = (signal.SIGINT, signal.SIGTERM)
ORPHAN_SECONDS = 5.0  # as long as a launch waits after SIGINT
LEAVING_SECONDS = 4.0  # a launch would not wait much longer, and not report the cause
WAKE_SECONDS = 1e6  # a spin without a time-out does not dispatch in rclpy 7.1


class Finished(Exception):
    """The node has done its work: the process ends with exit code 0."""


class NodeError(Exception):
    """The node cannot work: the process prints this sentence and ends with exit code 1."""


class Lost(NodeError):
    """Data that the node had to keep is lost: the process prints this and ends with `EXIT_LOST`."""


EXIT_LOST = 3  # not 1: an interpreter that receives a signal during its start ends with 1
FORESEEN = (NodeError, ValueError, OSError)
"""Errors that a user can fix: parameters, files, contracts, other nodes."""


class _StopRequest:
    """Waits for a signal in a separate thread, so that a signal never interrupts unfinished work.

    Before `begin` a signal ends the process immediately, since there is nothing to clean up; after
    it the main thread first finishes its current work. A second signal never waits.

    The end of the launch is such a request, too. A signal that comes with it does not count as a
    second one, and a node that has not ended after `ORPHAN_SECONDS` is terminated.
    """

    def __init__(self) -> None:
        self.requested = False
        self._orphaned = False
        self._begun = False
        self._executor: Any = None
        signal.signal(signal.SIGINT, _ignored)  # a background shell passes SIGINT on as ignored
        signal.pthread_sigmask(signal.SIG_BLOCK, MASKED)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()
        launch_watch.follow(self._orphan)

    def begin(self) -> None:
        """From now on a signal is a request."""
        self._begun = True

    def wake(self, executor: Any) -> None:
        """From now on a signal wakes this executor up."""
        self._executor = executor

    def _wait(self) -> None:
        while True:
            signal.sigwait(MASKED)
            if self.requested and not self._orphaned:
                os._exit(0)
            self._request()

    def _orphan(self) -> None:
        self._orphaned = True
        with contextlib.suppress(OSError):  # the reader may be gone
            print("the launch has ended, and this node with it", file=sys.stderr, flush=True)
        self._request()
        time.sleep(ORPHAN_SECONDS)
        os._exit(1)

    def _request(self) -> None:
        if not self._begun:
            os._exit(0)
        self.requested = True
        if self._executor is not None:
            self._executor.create_task(lambda: None)


def _ignored(number: int, frame: FrameType | None) -> None:
    """Never called: the signal is blocked and waited for."""


def run(target: str) -> None:
    """Create a node, spin it until it is finished, fails or is asked to end, and exit.

    A node may have `autostart()`, called before it spins, and `close()`, called after that; an
    exception of `close()` determines the exit code.

    Args:
        target: "module:Class"; a class like `rlt_node.node.FailFastNode`, created without
            arguments.
    """
    stop = _StopRequest()
    end = _End()
    name = _node_name(target)
    code = 0
    try:
        with claim_node(remapped_name(name, sys.argv)):
            _live(target, stop)
    except Exception as error:
        if not isinstance(error, Finished):
            _report(name, error)
            code = EXIT_LOST if isinstance(error, Lost) else 1
        traceback.clear_frames(error.__traceback__)  # they refer to node and executor
    gc.collect()  # destroys the context, which tells the other nodes that this one is gone
    end.code = code
    sys.exit(code)


class _End:
    """Ends the process before Python destroys its modules, but after all other exit work.

    Destroying torch's modules takes half a second of CPU, and on a busy machine the launch does not
    wait that long. The exit handler registered first is called last: threads have been joined, and
    all other exit handlers have been called.

    Attributes:
        code: The exit code; None leaves an unexpected end to Python.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        atexit.register(self._now)

    def _now(self) -> None:
        if self.code is None:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # the reader may be gone
                stream.flush()
        ctypes.CDLL(None).fflush(None)
        os._exit(self.code)


def _node_name(target: str) -> str:
    """The node name of a class: `chunk_controller` for `ChunkControllerNode`."""
    words = re.findall("[A-Z][a-z]+", target.partition(":")[2].removesuffix("Node"))
    return "_".join(words).lower()


def _live(target: str, stop: _StopRequest) -> None:
    module, _, name = target.partition(":")
    make_node = getattr(importlib.import_module(module), name)

    import rclpy
    from rclpy.signals import SignalHandlerOptions

    stop.begin()
    gc.freeze()  # exclude imported objects from later collections
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        from rlt_node.parameter_files import require_readable

        require_readable(sys.argv)  # its error about a file is clearer
        raise NodeError(f"{error}: fix what follows --ros-args") from error
    try:
        _spin(make_node(), stop)
    finally:
        rclpy.try_shutdown()
        rclpy.get_default_context().destroy()  # once nothing refers to it any more


def _spin(node: Any, stop: _StopRequest) -> None:
    from rclpy.experimental import EventsExecutor

    executor = EventsExecutor()
    try:
        if hasattr(node, "autostart") and not stop.requested:
            node.autostart()
        executor.add_node(node)
        stop.wake(executor)
        while not stop.requested and node.exit_reason is None:
            executor.spin_once(timeout_sec=WAKE_SECONDS)
        if not stop.requested and node.exit_reason is not None:
            raise node.exit_reason
    finally:
        stop.wake(None)
        try:
            if hasattr(node, "close"):
                node.close()
        finally:
            # All data is saved. If the middleware hangs here, this prints where, and exits.
            faulthandler.dump_traceback_later(LEAVING_SECONDS, exit=True)
            node.destroy_node()  # before the executor, which otherwise crashes


def _report(name: str, error: Exception) -> None:
    """Print one sentence for what a user can fix, and a traceback for our own bugs."""
    from rclpy.exceptions import NameValidationException, ParameterException

    if not isinstance(error, (NameValidationException, ParameterException, *FORESEEN)):
        traceback.print_exception(error)
    print(f"{name}: error: {error}", file=sys.stderr)
