"""One process of a launch: its start, its output, its end."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launch.events.process import ProcessExited

if TYPE_CHECKING:
    from launch.action import Action
    from launch.launch_service import LaunchService

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LAST_WORDS_S = 0.5  # how long to wait for output after the end: a grandchild may hold the pipe open
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class ProcessSettings:
    """How a process is run; `screen` names the streams that are shown: stdout, stderr."""

    name: str
    command: list[str]
    environment: dict[str, str]
    cwd: str | None
    screen: frozenset[str]
    emulate_tty: bool
    respawn: bool
    respawn_delay_s: float
    sigterm_timeout_s: float
    sigkill_timeout_s: float


class Process:
    """Runs one process, again and again where it is to respawn, and stops it when asked to.

    Attributes:
        action: The action that it belongs to.
    """

    def __init__(
        self, action: "Action", settings: ProcessSettings, service: "LaunchService"
    ) -> None:
        self.action = action
        self._settings = settings
        self._service = service
        self._child: asyncio.subprocess.Process | None = None
        self._ended = asyncio.Event()
        self._stop = asyncio.Event()
        self._impatient = asyncio.Event()

    async def run(self) -> None:
        """Run until the process has ended for good; each end is an event.

        A process that is asked to stop before it has started never starts.
        """
        if self._stop.is_set():
            return
        stopper = asyncio.create_task(self._stop_when_asked())
        try:
            while True:
                code = await self._run_once()
                self._announce_end(code)
                if not self._settings.respawn or self._stop.is_set():
                    return
                if await _within(self._stop.wait(), self._settings.respawn_delay_s):
                    return
        finally:
            self._ended.set()
            stopper.cancel()

    def stop(self) -> None:
        """Ask the process to end: SIGINT, after a while SIGTERM, after a while SIGKILL."""
        self._stop.set()

    def hurry(self) -> None:
        """Take the next step of stopping now."""
        self._impatient.set()

    async def _run_once(self) -> int:
        settings, console = self._settings, self._service.console
        streams = {name: _open_stream(settings.emulate_tty) for name in ("stdout", "stderr")}
        try:
            self._child = await asyncio.create_subprocess_exec(
                *settings.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=streams["stdout"][1],
                stderr=streams["stderr"][1],
                cwd=settings.cwd,
                env=settings.environment,
                preexec_fn=_tie_to_parent,
            )
        except OSError:
            for ours, _ in streams.values():
                os.close(ours)
            raise
        finally:
            for _, theirs in streams.values():
                os.close(theirs)
        console.info(settings.name, f"process started with pid [{self._child.pid}]")
        readers = [
            asyncio.create_task(self._pass_on(ours, name in settings.screen))
            for name, (ours, _) in streams.items()
        ]
        code = await self._child.wait()
        await asyncio.wait(readers, timeout=LAST_WORDS_S)
        for reader in readers:
            reader.cancel()
        return code

    async def _pass_on(self, descriptor: int, screen: bool) -> None:
        """Pass the lines of one stream on to the console until it is closed."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
        )
        rest = b""
        try:
            while chunk := await _read(reader):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._print(line, screen)
        finally:
            if rest:
                self._print(rest, screen)
            transport.close()

    def _print(self, line: bytes, screen: bool) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._service.console.output(self._settings.name, text, screen)

    def _announce_end(self, code: int) -> None:
        assert self._child is not None
        name, pid, command = self._settings.name, self._child.pid, self._settings.command
        if code == 0:
            self._service.console.info(name, f"process has finished cleanly [pid {pid}]")
        else:
            self._service.console.error(
                name, f"process has died [pid {pid}, exit code {code}, cmd '{' '.join(command)}']."
            )
        self._service.emit(
            ProcessExited(
                self.action,
                name,
                command,
                self._settings.cwd,
                self._settings.environment,
                pid,
                code,
            )
        )

    async def _stop_when_asked(self) -> None:
        await self._stop.wait()
        patience = (self._settings.sigterm_timeout_s, self._settings.sigkill_timeout_s)
        name, console = self._settings.name, self._service.console
        for sign, harder, wait_s in zip(
            (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGKILL), patience, strict=True
        ):
            self._send(sign)
            if not await _within(self._impatient.wait(), wait_s):
                console.error(
                    name,
                    f"process[{name}] failed to terminate '{wait_s:g}' seconds after receiving "
                    f"'{sign.name}', escalating to '{harder.name}'",
                )
            self._impatient.clear()
        self._send(signal.SIGKILL)

    def _send(self, sign: signal.Signals) -> None:
        """Send a signal to the process and what it has started."""
        if self._child is None or self._child.returncode is not None:
            return
        name = self._settings.name
        self._service.console.info(name, f"sending signal '{sign.name}' to process[{name}]")
        try:
            os.killpg(self._child.pid, sign)
        except ProcessLookupError:
            pass  # it ended just now


def _tie_to_parent() -> None:
    """In the new process, before its program starts: its own group, and death with the launch.

    With a group of its own, a process gets one SIGINT after Ctrl-C, from the launch, and not a
    second one from the terminal.
    """
    os.setpgid(0, 0)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _open_stream(terminal: bool) -> tuple[int, int]:
    """A pair of descriptors, ours to read and the process's to write."""
    return os.openpty() if terminal else os.pipe()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except OSError:  # how the end of a pseudo-terminal reads
        return b""


async def _within(event: Awaitable[object], seconds: float) -> bool:
    """Whether it happens within so many seconds."""
    try:
        await asyncio.wait_for(event, seconds)
    except asyncio.TimeoutError:  # noqa: UP041 (another class before Python 3.11)
        return False
    return True
