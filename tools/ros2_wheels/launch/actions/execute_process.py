"""The action that runs a process."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from launch.action import Action
from launch.condition import Condition
from launch.event_handlers import OnProcessExit
from launch.launch_context import LaunchContext
from launch.process import Process, ProcessSettings
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.subset import NotInSubset
from launch.substitution import perform

SCREEN = {  # which streams each mode shows; the log file gets both in every mode
    "screen": frozenset({"stdout", "stderr"}),
    "both": frozenset({"stdout", "stderr"}),
    "log": frozenset({"stderr"}),
}


class ExecuteProcess(Action):
    """Run a program until it ends or the launch is shut down.

    Args:
        cmd: the program and its arguments.
        name: of the process; default: the program's file name.
        cwd: its working folder; default: that of the launch.
        env: its complete environment; default: that of the launch.
        additional_env: set on top.
        output: `screen` or `both` show stdout and stderr, `log` shows stderr.
        emulate_tty: give it a terminal, so that it writes line by line and in colour.
        shell: run the command in a shell.
        respawn: start it again when it ends by itself.
        respawn_delay: seconds before that.
        sigterm_timeout: seconds from SIGINT to SIGTERM at shutdown.
        sigkill_timeout: seconds from SIGTERM to SIGKILL.
        on_exit: actions, or a function of event and context, for when the process has ended.
        condition: whether it is run.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        additional_env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        output: SomeSubstitutionsType = "log",
        emulate_tty: bool = False,
        shell: bool = False,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        sigterm_timeout: SomeSubstitutionsType | float = 5.0,
        sigkill_timeout: SomeSubstitutionsType | float = 5.0,
        on_exit: Any = None,
        condition: Condition | None = None,
        **unknown: object,
    ) -> None:
        super().__init__(condition=condition, **unknown)
        self._cmd = list(cmd)
        self._name = name
        self._cwd = cwd
        self._env = env
        self._additional_env = additional_env or {}
        self._output = output
        self._emulate_tty = emulate_tty
        self._shell = shell
        self._respawn = respawn
        self._respawn_delay = respawn_delay
        self._sigterm_timeout = sigterm_timeout
        self._sigkill_timeout = sigkill_timeout
        self._on_exit = on_exit

    def execute(self, context: LaunchContext) -> None:
        """Start the process, unless the launch is ending."""
        if context.is_shutdown:
            return
        if self._on_exit is not None:
            context.service.handlers.append(
                OnProcessExit(target_action=self, on_exit=self._on_exit)
            )
        context.service.start(Process(self, self._settings(context), context.service))

    def command(self, context: LaunchContext) -> list[str]:
        """The program and its arguments, in this context."""
        words = [perform(context, word) for word in self._cmd]
        return ["/bin/sh", "-c", " ".join(words)] if self._shell else words

    def process_name(self, context: LaunchContext) -> str:
        """The name that the number of the process follows."""
        return Path(perform(context, self._name or self._cmd[0]).split(" ")[0]).name

    def _settings(self, context: LaunchContext) -> ProcessSettings:
        output = perform(context, self._output)
        if output not in SCREEN:
            raise NotInSubset(f"output='{output}'")
        base = context.environment if self._env is None else _perform_all(context, self._env)
        return ProcessSettings(
            name=f"{self.process_name(context)}-{context.service.next_number()}",
            command=self.command(context),
            environment={**base, **_perform_all(context, self._additional_env)},
            cwd=None if self._cwd is None else perform(context, self._cwd),
            screen=SCREEN[output],
            emulate_tty=self._emulate_tty,
            respawn=_is_true(context, self._respawn),
            respawn_delay_s=self._respawn_delay or 0.0,
            sigterm_timeout_s=float(perform(context, self._sigterm_timeout)),
            sigkill_timeout_s=float(perform(context, self._sigkill_timeout)),
        )


def _perform_all(
    context: LaunchContext, texts: Mapping[SomeSubstitutionsType, SomeSubstitutionsType]
) -> dict[str, str]:
    return {perform(context, name): perform(context, value) for name, value in texts.items()}


def _is_true(context: LaunchContext, value: bool | SomeSubstitutionsType) -> bool:
    return perform(context, value).lower() in ("true", "1")
