"""The in-process runner: the objects of the ROS graph in one loop, without ROS.

At every tick it does what the nodes do in lockstep, so that both produce the same transitions and
weights for the same seed, bit for bit. Tuning, benchmarks and tests use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rlt_core.contract import Contract
from rlt_core.control.control_loop import ControlLoop
from rlt_core.control.motion_limits import MotionLimits, normalised_bound
from rlt_core.episodes.episode_machine import EpisodeMachine
from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.log.transition_log import Log, TransitionLog
from rlt_core.log.windows import WindowBuilder
from rlt_core.records import (
    EpisodeState,
    HumanInput,
    ImageArray,
    Observation,
    Phase,
    RobotState,
    Transition,
)
from rlt_core.rl.policy_step import PolicyStep, TokenSource
from rlt_core.rl.trainer import Trainer
from rlt_core.settings import (
    AgentSettings,
    ChunkSettings,
    ScheduleSettings,
    TrainingSettings,
)
from rlt_core.vla.model import load_model


class MeasuredState(Protocol):
    """Measurements of a robot: pose on the action axes (A,) and wrench (4,), SI."""

    @property
    def tcp(self) -> NDArray[np.float64]:
        """Measured position on the action axes."""

    @property
    def wrench(self) -> NDArray[np.float64]:
        """Commanded wrench of the impedance controller."""


class Judgement(Protocol):
    """The state of the task, as the simulator knows it."""

    @property
    def success(self) -> bool:
        """Whether the task is done."""

    @property
    def failure(self) -> bool:
        """Whether the task cannot succeed any more."""

    @property
    def critical(self) -> bool:
        """Whether the critical phase is reached."""

    @property
    def offset(self) -> NDArray[np.float64]:
        """Pose (4,) of the plug relative to the socket: m, m, m, rad."""


class World(Protocol):
    """The simulated robot and its task, as in `rlt_sim.world`."""

    def reset(self, seed: int) -> None:
        """Start an episode."""

    def step(self, setpoint: NDArray[np.float64]) -> None:
        """Advance one control tick."""

    def state(self) -> MeasuredState:
        """Measure the robot."""

    def render(self) -> Mapping[str, ImageArray]:
        """Render the policy's images."""

    def task_state(self) -> Judgement:
        """Judge the task."""


class PersonAction(Protocol):
    """What a person does with the gamepad at one tick."""

    @property
    def takeover(self) -> bool:
        """Whether the takeover button is down."""

    @property
    def increment(self) -> NDArray[np.float64]:
        """Increment commanded by the sticks on the action axes (A,), SI per tick."""

    @property
    def presses(self) -> tuple[str, ...]:
        """Labels pressed at this tick: "success" or "failure"."""


class Person(Protocol):
    """A person during one episode, as in `rlt_sim.person`."""

    @property
    def satisfied(self) -> bool:
        """Whether an ended episode has the label that the person wants."""

    def act(self, task: Judgement, robot: MeasuredState, running: bool) -> PersonAction:
        """Watch one tick and act; called after the end, too, until satisfied."""


class Runner:
    """Runs the scheduled episodes of one run on a simulated robot."""

    def __init__(
        self,
        world: World,
        contract: Contract,
        policy: PolicyStep,
        control: ControlLoop,
        machine: EpisodeMachine,
        builder: WindowBuilder,
        log: Log,
        trainer: Trainer | None,
        person: Callable[[int], Person] | None = None,
    ) -> None:
        """Connect the objects.

        Args:
            world: The robot and its task.
            contract: The run's contract.
            policy: The policy; for a run without trainer it already has its weights.
            control: The control loop.
            machine: Schedule and labels.
            builder: Builds transitions.
            log: Stores transitions.
            trainer: Trains on transitions; None to evaluate only.
            person: Makes the person of an episode from its seed; None: without a person.
        """
        self.world = world
        self.contract = contract
        self.policy = policy
        self.control = control
        self.machine = machine
        self.builder = builder
        self.log = log
        self.trainer = trainer
        self.person = person
        self._hash = contract.hash()
        self._commands = 0

    def run(self) -> Iterator[EpisodeResult]:
        """Run the schedule; yield the result of every episode when its updates are done."""
        tick = 0
        while self.machine.next().phase != Phase.FINISHED:
            tick = self._episode(tick)
            self._learn()
            yield self.machine.results[-1]

    def _episode(self, tick: int) -> int:
        """Run one episode from the next chunk boundary on; return its end tick."""
        self.world.reset(self.machine.state.seed)
        tick = -(-tick // self.contract.chunk) * self.contract.chunk
        state = self.machine.begin(tick)
        self.control.start(state, self.world.state().tcp)
        self._record(self.builder.start(state))
        # Evaluations are of the policy alone, without a person.
        person = self.person(state.seed) if self.person and state.kind.stored else None
        while state.phase == Phase.RUNNING:
            self._tick(tick, state, person)
            tick += 1
            verdict = self.world.task_state()
            state = self.machine.observe(
                tick, verdict.success, verdict.failure, verdict.critical
            )
            self._record(self.builder.start(state))
        self.control.stop()
        self._record(self.builder.end(state))
        if person is not None:
            self._judge(tick, person)
        return tick

    def _tick(self, tick: int, state: EpisodeState, person: Person | None) -> None:
        """Observe, decide and execute one control tick."""
        measured = self.world.state()
        if self.policy.wants(tick, state):
            proprio = np.concatenate((measured.tcp, measured.wrench)).astype(np.float32)
            observation = Observation(tick, dict(self.world.render()), proprio)
            features, chunk = self.policy.observe(observation, state)
            if chunk is not None:
                self.control.offer_chunk(chunk)
            if features is not None:
                self._record(self.builder.add_features(features))
        if person is not None:
            self._offer(person.act(self.world.task_state(), measured, running=True), tick)
        step = self.control.step(tick, RobotState(tick, measured.tcp, float(tick)))
        self.machine.executed(step.source)
        self._record(self.builder.add_step(step))
        self.world.step(step.setpoint)

    def _offer(self, action: PersonAction, tick: int) -> None:
        """Send the person's sticks and button to the control loop."""
        self._commands += 1
        self.control.offer_human(
            HumanInput(
                sequence=self._commands,
                takeover=action.takeover,
                increment=action.increment.astype(np.float32),
                axis_names=self.contract.action.names,
                received=float(tick),
                contract_hash=self._hash,
            )
        )

    def _judge(self, tick: int, person: Person) -> None:
        """Let the person label the ended episode while the robot waits; record corrections.

        The simulator's verdict has ended the episode: a person who only labels does not change when
        it ends.
        """
        while not person.satisfied:
            action = person.act(self.world.task_state(), self.world.state(), running=False)
            self._offer(action, tick)
            for button in action.presses:
                reply = self.machine.label(button == "success")
                if reply.state is not None:
                    self._record(self.builder.end(reply.state))

    def _record(self, transitions: Iterable[Transition]) -> None:
        """Commit transitions to the log and pass them to the trainer."""
        for transition in transitions:
            committed = self.log.commit(transition)
            if self.trainer is not None:
                self.trainer.ingest(committed)

    def _learn(self) -> None:
        """Run the updates that the episode requires; use the new weights from now on."""
        if self.trainer is None:
            return
        self.trainer.work()
        if self.trainer.weights_due:
            self.policy.set_weights(*self.trainer.publish())


def build_runner(
    world: World,
    model: Path,
    limits: MotionLimits,
    schedule: ScheduleSettings,
    *,
    agent: AgentSettings | None = None,
    training: TrainingSettings | None = None,
    chunks: ChunkSettings | None = None,
    token: Callable[[Contract], tuple[TokenSource, Contract]] | None = None,
    person: Callable[[int], Person] | None = None,
    run: str = "run",
) -> Runner:
    """Assemble a runner as the launch file assembles the graph.

    PyTorch is set to one thread: at these sizes more threads only wait for each other.

    Args:
        world: The robot and its task, e.g. `rlt_sim.world.make_world("ethernet")`.
        model: Model folder, e.g. models/ethernet.
        limits: The robot's motion limits.
        schedule: Episodes and seed of the run.
        agent: Hyper-parameters; defaults if None.
        training: Updates; defaults if None. Without training episodes there is no trainer.
        chunks: Late chunks and takeovers; defaults if None.
        token: Makes what stands in for the model's RL token, and the contract with it, from the
            model's contract, e.g. `rlt_sim.privileged.privileged_token`; None: the RL token.
        person: Makes the bystander of an episode from its seed, e.g. `rlt_sim.person.
            ScriptedPerson`, who helps in warm-up and training; None: nobody is there.
        run: Identifier of the run.

    Raises:
        FileNotFoundError: If a model file is missing.
        ValueError: If settings or model do not fit together.
    """
    torch.set_num_threads(1)
    agent, training = agent or AgentSettings(), training or TrainingSettings()
    vla, encoder, contract = load_model(model)
    source: TokenSource = encoder
    if token is not None:
        source, contract = token(contract)
    trainer = None
    if schedule.episodes:
        bound = normalised_bound(limits, contract)
        trainer = Trainer(contract, bound, agent, training, schedule.seed)
    return Runner(
        world=world,
        contract=contract,
        policy=PolicyStep(vla, source, contract, agent),
        control=ControlLoop(contract, limits, chunks or ChunkSettings()),
        machine=EpisodeMachine(run, schedule, training.warmup_episodes, contract.chunk),
        builder=WindowBuilder(contract),
        log=TransitionLog(run),
        trainer=trainer,
        person=person,
    )
