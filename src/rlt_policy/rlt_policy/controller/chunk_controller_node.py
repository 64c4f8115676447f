"""The chunk controller: decides what is sent to the robot at every tick, and records it.

In lockstep it answers tick k once robot state, episode state and every chunk for it have arrived.
In real time it owns the tick and counts it 50 times a second in its own thread, whatever arrives.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlt_core.control.control_loop import ControlLoop
from rlt_core.control.rejection import Rejection
from rlt_core.records import ControlStep
from rlt_core.settings import ChunkSettings, setting
from rlt_interfaces.msg import ActionChunk, HumanCommand, Observation
from rlt_interfaces.msg import ControlStep as ControlStepMessage
from rlt_interfaces.msg import EpisodeState as EpisodeMessage
from rlt_node import qos
from rlt_node.conversions import (
    chunk_from_msg,
    episode_from_msg,
    human_from_msg,
    stamp_of_tick,
    step_to_msg,
)
from rlt_node.diagnostics import Diagnostics, Health
from rlt_node.fault_log import Fault, FaultLog
from rlt_node.graph import GraphSettings, RobotSettings
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.rates import Rate
from rlt_policy.controller.command_topics import CommandTopics
from rlt_policy.controller.health import controller_health, source_of
from rlt_policy.controller.lockstep import Lockstep
from rlt_policy.controller.observation_watch import ObservationWatch
from rlt_policy.controller.real_time import RealTime
from rlt_policy.outputs.group_outputs import GroupOutputs

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class PrioritySettings:
    """Priority of the control loop."""

    realtime_priority: int = setting(
        10, "real time: SCHED_FIFO priority of the process if the system grants it; 0: none",
        low=0, high=98,
    )


class ChunkControllerNode(FailFastNode):
    """Feeds the `ControlLoop` and sends what it decides."""

    def __init__(self) -> None:
        """Check limits and contract, connect to the robot, and in real time start the clock."""
        super().__init__("chunk_controller")
        self._graph = declare(self, GraphSettings)
        settings, chunks = declare(self, PrioritySettings), declare(self, ChunkSettings)
        chosen = declare(self, RobotSettings)
        refuse_unknown(self)
        self._contract = contract = self._graph.contract()
        robot, lockstep = chosen.read(contract), self._graph.lockstep
        self._control = ControlLoop(contract, robot.limits, chunks, real_time=not lockstep)
        self._observed = ObservationWatch()
        self._fault_log, self._rate = FaultLog(self.get_logger()), Rate()
        self._steps = self.create_publisher(ControlStepMessage, "control_step", qos.LOG)
        self._output = GroupOutputs(self, robot, lockstep, self._on_position)
        self._ticks = self._lockstep() if lockstep else self._real_time()
        self._connect()
        self._ticks.start(settings.realtime_priority)

    def _lockstep(self) -> Lockstep:
        return Lockstep(self._control, self._contract, self._graph.silence_s, self._execute)

    def _real_time(self) -> RealTime:
        """The clock of real time, and what is watched only there."""
        ticks = RealTime(
            self._control, self._contract, CommandTopics(self, self._output.commands),
            self._execute, self._record, self._report_fault, self.get_logger(),
        )
        self.create_subscription(
            Observation, "observation", lambda _: self._observed.hear(time.monotonic()),
            qos.COMMAND, raw=True,
        )
        self.create_subscription(
            EpisodeMessage, "episode_heartbeat",
            lambda message: ticks.take_heartbeat(message.run), qos.COMMAND,
        )
        return ticks

    def _connect(self) -> None:
        """Subscribe to the other nodes."""
        self.create_subscription(ActionChunk, "action_chunk", self._on_chunk, qos.BARRIER)
        self.create_subscription(EpisodeMessage, "episode_state", self._on_episode, qos.BARRIER)
        self.create_subscription(HumanCommand, "human_command", self._on_human, qos.COMMAND)
        self.create_timer(0.5, self._ticks.check)
        Diagnostics(self, self._health)

    def close(self) -> None:
        """Stop the clock: the robot keeps the last set-point that was sent."""
        self._ticks.close()

    # ---- Inputs -------------------------------------------------------------------------------

    def _on_position(self, tick: int, position: Vector, fault: str) -> None:
        self._ticks.take_position(tick, position, fault)

    def _on_chunk(self, message: ActionChunk) -> None:
        rejection = self._ticks.take_chunk(chunk_from_msg(message))
        if rejection is not None:
            self._report("action_chunk", rejection, "action_chunk from policy")

    def _on_human(self, message: HumanCommand) -> None:
        rejection = self._ticks.take_human(human_from_msg(message, self._ticks.now()))
        if rejection is not None:
            self._report("human_command", rejection, "human_command from operator")

    def _on_episode(self, message: EpisodeMessage) -> None:
        self._ticks.take_episode(episode_from_msg(message))

    # ---- Outputs ------------------------------------------------------------------------------

    def _execute(self, step: ControlStep) -> None:
        """Send a step to the robot, then record it."""
        self._output.send(step)
        self._record(step)
        if self._control.fault is not None:
            self._report_fault(self._control.fault)

    def _record(self, step: ControlStep) -> None:
        message = step_to_msg(step, self._contract.action.names)
        message.header.stamp = (
            stamp_of_tick(step.tick, self._contract.rate_hz)
            if self._graph.lockstep
            else self.get_clock().now().to_msg()
        )
        self._steps.publish(message)
        self._rate.count(time.monotonic())

    def _report_fault(self, fault: Rejection) -> None:
        """Log why the robot holds; the observer logs why the policy gets no observations."""
        source, now = source_of(fault.code, self._output.heard), time.monotonic()
        if fault.code == "silent" and self._observed.unanswerable(now):
            return
        self._report(source, fault, f"holding: {source}")

    def _report(self, source: str, fault: Rejection, what: str) -> None:
        self._fault_log.report(
            Fault(fault.code, source, f"{what}: {fault.message}"), time.monotonic(),
            consequence=fault.code == "trip",  # each rejected chunk behind it was logged
        )

    def _health(self) -> Health:
        with self._ticks.lock:
            now, control = time.monotonic(), self._control.health()
            heard = min(self._output.heard.values())
            return controller_health(control, self._rate.summary("control_step", now), now - heard)
