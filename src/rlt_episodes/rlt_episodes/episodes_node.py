"""The episodes of a run: schedule, phases, labels. Its clean exit ends the launch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlt_core.episodes.episode_machine import EpisodeMachine, Reply
from rlt_core.records import Phase, Source
from rlt_core.settings import ScheduleSettings
from rlt_episodes.episode_publisher import EpisodePublisher
from rlt_episodes.health import episodes_health
from rlt_episodes.progress import progress_line, summary_lines
from rlt_episodes.readiness import Patience, waiting_for_learning
from rlt_episodes.reset import RobotReset
from rlt_episodes.run_plan import EpisodesSettings, schedule_of
from rlt_episodes.run_record import RunRecord, earlier_episodes, first_facts, last_facts
from rlt_episodes.ticks import Lockstep, RealTime
from rlt_interfaces.msg import ControlStep, PolicyInfo, RecorderStatus, TaskState
from rlt_interfaces.srv import Abort, Discard, Handover, LabelSuccess
from rlt_node import qos
from rlt_node.diagnostics import Diagnostics, Health
from rlt_node.graph import GraphSettings
from rlt_node.learner_watch import LearnerWatch
from rlt_node.node import FailFastNode
from rlt_node.parameters import declare, refuse_unknown
from rlt_node.process import Finished, Lost, NodeError


class EpisodesNode(FailFastNode):
    """Moves the `EpisodeMachine` and publishes its state."""

    def __init__(self) -> None:
        """Open the record, and wait for the other nodes."""
        super().__init__("episodes")
        self._graph = declare(self, GraphSettings)
        self._settings = settings = declare(self, EpisodesSettings)
        self._schedule = schedule_of(settings.job, declare(self, ScheduleSettings))
        refuse_unknown(self)
        settings.require_possible(self._graph.lockstep)
        self._contract = self._graph.contract()
        self._run = settings.identify()
        self._machine = EpisodeMachine(
            self._run, self._schedule, settings.warmup_episodes, self._contract.chunk
        )
        self._record = RunRecord(
            Path(settings.output),
            first_facts(
                self._run, self._contract,
                graph=self._graph, episodes=settings, schedule=self._schedule,
            ),
            self.get_logger().warning, settings.resume,
        )
        earlier, self._extra = earlier_episodes(self._record, self._machine.schedule)
        self._machine.restore(earlier)
        self._policy: PolicyInfo | None = None
        self._recorder: RecorderStatus | None = None
        self._task = TaskState()
        self._reset_to: int | None = None
        self._ticks = (
            Lockstep(self._graph.silence_s)
            if self._graph.lockstep
            else RealTime(self._contract.chunk)
        )
        self._began = self._moved = time.monotonic()
        if earlier:
            self._began -= self._extra[earlier[-1].episode].get("wall_seconds", 0.0)
        self._patience = Patience()
        self._connect()

    def close(self) -> None:
        """Leave no record of a run without an episode.

        Raises:
            Lost: If the last episodes could not be written.
        """
        if not self._record.begun:
            self._record.withdraw()
            return
        self._record.flush()
        if self._record.fault:
            raise Lost(f"the record lacks the last episodes: no {self._record.fault}")

    def _connect(self) -> None:
        self._states = EpisodePublisher(
            self, self._machine.state, lambda: self._policy is not None,
            self._contract.rate_hz, self._graph.lockstep,
        )
        self._reset = RobotReset(self, self._begin)
        for message, topic, profile, name in (
            (PolicyInfo, "policy_info", qos.LATEST, "_policy"),
            (RecorderStatus, "recorder_status", qos.LATEST, "_recorder"),
        ):
            self.create_subscription(message, topic, self._keeper(name), profile)
        self._learner = LearnerWatch(self, self._advance)
        self.create_subscription(TaskState, "task_state", self._on_task, qos.BARRIER)
        if not self._graph.lockstep:  # in lockstep nobody takes over; the simulator counts ticks
            self.create_subscription(ControlStep, "control_step", self._on_step, qos.LOG)
        machine = self._machine
        self._serve(LabelSuccess, "label_success", lambda r: machine.label(r.success, r.episode_id))
        self._serve(Discard, "discard", lambda r: machine.discard(r.episode_id))
        self._serve(Abort, "abort", lambda r: machine.abort(r.reason))
        self._serve(Handover, "handover", lambda r: machine.handover(r.to_actor))
        self.create_timer(0.1, self._advance)
        Diagnostics(self, self._health)

    def _keeper(self, name: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            setattr(self, name, message)
            self._advance()

        return keep

    def _serve(self, kind: Any, name: str, apply: Callable[[Any], Reply]) -> None:
        def answer(request: Any, response: Any) -> Any:
            reply = apply(request)
            response.success, response.message = reply.applied, reply.message
            self._apply(reply)
            return response

        self.create_service(kind, name, answer)

    def _apply(self, reply: Reply) -> None:
        """Log the reply to a request, and publish what it changed."""
        self.get_logger().info(reply.message)
        if reply.state is not None:
            self._note_end()
            self._states.publish(reply.state)
            if reply.state.episode != self._machine.state.episode:  # a corrected older one
                self._states.publish(self._machine.state)  # must not stay the latched one

    # ---- While an episode runs ----------------------------------------------------------------

    def _on_task(self, message: TaskState) -> None:
        self._task = message
        if self._graph.lockstep:
            self._observe(message.tick)

    def _on_step(self, message: ControlStep) -> None:
        """Count the ticks; a restarted controller jumps, and the episode is not its own."""
        restarted = self._ticks.count(message.tick)
        if restarted and self._machine.state.phase is Phase.RUNNING:
            self._apply(self._machine.abort("chunk_controller restarted"))
        tick, source = message.tick, Source(message.source)
        self._machine.controlled(tick, message.episode, source, message.fault)
        self._observe(tick + 1)

    def _observe(self, tick: int) -> None:
        """Judge the task before `tick`; in lockstep every judgement is published."""
        before = self._machine.state
        if before.phase is not Phase.RUNNING or tick < before.start_tick:
            return
        self._moved = time.monotonic()
        auto, task = self._settings.supervisor == "auto", self._task
        state = self._machine.observe(
            tick, auto and task.success, auto and task.failure, auto and task.critical
        )
        changed = (state.phase, state.critical) != (before.phase, before.critical)
        if state.phase is Phase.ENDED:
            self._note_end()
        if self._ticks.waits_for_states or changed:
            self._states.publish(state)

    def _note_end(self) -> None:
        """Record an ended episode and print the progress of the run."""
        machine, learner = self._machine, self._learner.status
        results, updates = machine.results, learner.updates if learner else 0
        version = self._policy.policy_version if self._policy else 0
        if results and results[-1].episode not in self._extra:
            wall = time.monotonic() - self._began
            self._extra[results[-1].episode] = {
                "wall_seconds": round(wall, 3), "policy_version": version, "updates": updates,
            }
            line = progress_line(
                machine.schedule, results, wall, self._robot_seconds(), updates, version,
                self._learner.fault(version),
            )
            print(line, flush=True)
        self._write_results()

    def _write_results(self) -> None:
        self._record.write_episodes(
            result.to_dict() | self._extra[result.episode] for result in self._machine.results
        )

    # ---- Between episodes ---------------------------------------------------------------------

    def _advance(self) -> None:
        """Open the next episode once every node is done with the last."""
        self._record.flush()
        self._reset.pursue()
        self._run_if_reset()
        phase = self._machine.state.phase
        if phase in (Phase.RESETTING, Phase.RUNNING):
            self._ticks.check(self._machine.state, self._moved, self._reset)
        if phase not in (Phase.IDLE, Phase.ENDED) or self._second_look():
            return
        reason = self._waiting_for()
        if self._patience.wait(reason, time.monotonic()):
            self.get_logger().warning(f"waiting for {reason}")
        if not reason and self._machine.upcoming is None:
            self._finish()
        elif not reason:
            self._open_next()

    def _second_look(self) -> bool:
        """Whether a person may still want to correct the label of the ended episode."""
        settings, phase = self._settings, self._machine.state.phase
        looks = settings.supervisor == "human" and phase is Phase.ENDED
        return looks and time.monotonic() - self._moved < settings.second_look_s

    def _waiting_for(self) -> str:
        """What keeps the next episode from opening; empty if nothing does."""
        if self._record.fault or self._policy is None:
            return self._record.fault or "the policy to load its model"
        self._contract.require(self._policy.contract_hash, "the policy")
        if not self._states.sure:
            return "the discovery of other episodes nodes in this namespace"
        if missing := self._ticks.missing():
            return missing
        if self._machine.human_acting and self._machine.upcoming is not None:
            return "the person to let go of the robot"
        if self._settings.job == "evaluate_actor" and not self._policy.policy_version:
            raise NodeError("the policy has no actor weights: name a checkpoint")
        if self._settings.job == "train":
            began = self._machine.state.phase is not Phase.IDLE
            lockstep, upcoming = self._graph.lockstep, self._machine.upcoming
            learner = self._learner.status
            if learner is not None and (lockstep or not began):
                self._contract.require(learner.contract_hash, "the learner")
            parties = (self._policy, self._recorder, learner)
            reason = waiting_for_learning(
                self._machine.state, upcoming, *parties, lockstep, self._patience.lasting
            )
            if reason:
                return reason
        return self._reset.obstacle

    def _open_next(self) -> None:
        if self._machine.state.phase is Phase.IDLE:
            self._began = time.monotonic()
        self._moved = time.monotonic()
        state = self._machine.next()
        self._states.publish(state)
        self._reset.ask(state.seed, self._contract.chunk)

    def _begin(self, start_tick: int) -> None:
        """The reset is done."""
        self._reset_to = start_tick
        self._record.update({"begun": self._machine.state.episode})
        self._run_if_reset()

    def _run_if_reset(self) -> None:
        """Start the episode after its reset, once it is in the record."""
        if self._reset_to is None or self._record.fault:
            return
        start_tick, self._reset_to = self._ticks.start_tick(self._reset_to), None
        self._moved = time.monotonic()
        self._states.publish(self._machine.begin(start_tick))
        if self._graph.lockstep and self._task.tick == start_tick:
            self._observe(start_tick)

    def _finish(self) -> None:
        """Close the record, print the evaluations, and end; later if the disk is full."""
        wall, robot = time.monotonic() - self._began, self._robot_seconds()
        self._write_results()  # including one in which an earlier process was killed
        self._record.update(last_facts(wall, robot, self._recorder, self._learner.status))
        if self._record.fault:
            return
        self._states.publish(self._machine.next())
        for line in summary_lines(self._machine.results):
            print(line, flush=True)
        raise Finished

    # ---- Record -------------------------------------------------------------------------------

    def _robot_seconds(self) -> float:
        return sum(result.steps for result in self._machine.results) * self._contract.dt

    def _health(self) -> Health:
        machine, version = self._machine, self._policy.policy_version if self._policy else 0
        faults = self._record.fault, self._learner.fault(version)
        return episodes_health(machine.state, machine.results, self._patience.lasting, *faults)
