"""A scripted bystander with a gamepad: watches the robot, helps when it stalls, labels the end.

It replaces a person in tests and unattended runs. It is human in the ways that matter to the nodes
around it: it needs time to react, moves smoothly and at a moderate speed, misjudges where the plug
is until it has looked for a while, holds the button for as long as it helps, and now and then
presses the wrong label and corrects itself. It does not model a person in other ways: it never
tires or learns, sees depth as well as width, knows the simulator's verdict, and its mistakes are
independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rlt_core.settings import setting
from rlt_sim.demonstrator import MAX_INCREMENT, insertion
from rlt_sim.world.ethernet import HARD_PUSH, LIFTED, SUCCESS_DEPTH
from rlt_sim.world.world import Array, TaskState

RATE_HZ = 50.0
DONE = np.array([0.0, 0.0, -SUCCESS_DEPTH])
"""Where the plug's tip is to go, relative to the socket: x, y, z [m]."""

_STREAM = 2  # of the episode's random numbers; the world has 0, the demonstrator 1
_SPREAD = 0.3  # of reaction times and speed, as a fraction, either way
_PROGRESS = 0.0005  # a smaller approach is not progress [m]
_TOLERATED_PUSHES = (1, 3)  # hard pushes at which the person steps in: one or two
_GAIN = 0.1  # share of the perceived error that is corrected per tick: about 1 Hz of bandwidth
_STIFFNESS = 0.3  # share of the way to the wanted stick that muscle and hand each go per tick
_TREMOR = 0.06  # standard deviation at the muscle, fraction of MAX_INCREMENT
_BIAS = np.array([0.0008, 0.0008, 0.0002, np.deg2rad(1.5)])  # of the first look: x, y, z [m], yaw
_LOOK_S, _LOOKED = 0.4, 0.12  # the bias shrinks with this time constant to this share
_RIM, _GENTLE = 0.001, 0.35  # within this height of the rim [m] it goes down at a share of speed
_INSIDE = 0.0005  # deeper than this the plug is clearly in [m]
_BLOCKED = 2.5  # upward push at which the plug is visibly blocked [N]
_HANDED_BACK = 0.003  # depth at which the robot may go on alone [m]
_FOLLOWS = np.array([0.0003, 0.0003, 0.0003, np.deg2rad(0.5)])  # a motion that can be seen
_PUSHED = 1.0  # a change of force that can be seen [N]
_IGNORED = 50  # ticks after which a person whom the robot does not follow presses again
_SLIP = 0.6  # an error of one's own is noticed in this share of a reaction time
_AGAIN = 50  # ticks after which a press that changed nothing is repeated
_STILL = 0.02  # a stick closer to rest is let go, fraction of MAX_INCREMENT


class Felt(Protocol):
    """What the person sees of the robot, see `rlt_sim.world.RobotState`."""

    @property
    def wrench(self) -> Array:
        """Commanded wrench (4,) of the impedance controller: N, N m."""


@dataclass(frozen=True)
class PersonSettings:
    """How the scripted person behaves."""

    patience_s: float = setting(
        1.75, "time without progress after which the person wants to take over, s", low=0.1
    )
    reaction_s: float = setting(
        0.35, "mean time from seeing to pressing a button, s", low=0.02, high=2.0
    )
    speed: float = setting(
        0.5, "speed at which the person moves, fraction of 50 mm/s and 50 degrees/s",
        low=0.05, high=1.0,
    )
    hand_back: float = setting(
        0.3, "probability that a takeover ends once the plug is in the socket, not at the end",
        low=0.0, high=1.0,
    )
    wrong_label: float = setting(
        0.05, "probability that the first label of an episode is the wrong one", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class PersonAction:
    """What the person does with the gamepad at one tick.

    Attributes:
        takeover: whether the takeover button is down.
        increment: (4,) what the sticks ask for: x, y, z [m] and yaw [rad] per tick.
        presses: buttons pressed at this tick: "success", "failure" or "handover".
    """

    takeover: bool
    increment: Array
    presses: tuple[str, ...]


class ScriptedPerson:
    """The person during one episode; the same seed gives the same person.

    Attributes:
        satisfied: whether an ended episode is labelled as the person wants it.
    """

    def __init__(
        self, seed: int, settings: PersonSettings | None = None, intervenes: bool = True
    ) -> None:
        """Draw the person of one episode.

        Args:
            seed: of the episode, non-negative.
            settings: the defaults if None.
            intervenes: whether it takes over at all, or only labels, as in evaluations.
        """
        self._settings = settings or PersonSettings()
        self._rng = np.random.default_rng([seed, _STREAM])
        self._attention = _Attention(self._rng, self._settings.patience_s)
        self._judge = _Judge(self._rng, self._settings)
        self._handover = _Repeated(_reaction(self._rng, self._settings))
        self._eye = _Eye(self._rng)
        self._hand = _Hand(self._rng)
        self._grip = _Grip()
        self._limit = self._settings.speed * _around(1.0, self._rng) * MAX_INCREMENT
        self._intervenes = intervenes
        self._reacting = 0  # ticks until the button goes down, 0: no press is pending
        self._takeover = False
        self._releasing = False
        self._hands_back = False
        self._lift_to: float | None = None

    @property
    def satisfied(self) -> bool:
        """Whether nothing is left to be labelled."""
        return self._judge.satisfied

    def act(
        self, task: TaskState, robot: Felt, running: bool, approach: bool = False
    ) -> PersonAction:
        """Watch one tick of 20 ms and act; call it once per tick, after the end as well.

        Args:
            task: the state of the task.
            robot: the measured robot.
            running: whether the episode runs; after its end the person only labels.
            approach: whether the base policy drives until the handover.

        Returns:
            What is done with buttons and sticks.
        """
        over = task.success or task.failure
        presses = self._judge.act(task.success, over, running)
        if self._handover.due(running and approach and task.critical):
            presses += ("handover",)
        if not running or (over and presses):  # after labelling the end, let go
            self._takeover = False
            return PersonAction(False, np.zeros(4), presses)
        if not self._takeover:
            self._watch(task, robot, over)
        increment = self._help(task, robot, over) if self._takeover else np.zeros(4)
        return PersonAction(self._takeover, increment, presses)

    def _watch(self, task: TaskState, robot: Felt, over: bool) -> None:
        """Watch; when the robot needs help, press the button after a reaction time."""
        alarmed = self._attention.alarmed(task.offset, robot.wrench)
        if over or not self._intervenes:
            return
        if self._reacting == 0 and alarmed:
            self._reacting = _reaction(self._rng, self._settings) + 1
        if self._reacting:
            self._reacting -= 1
            self._takeover = self._reacting == 0
        if self._takeover:
            self._releasing = False
            self._hands_back = bool(self._rng.random() < self._settings.hand_back)
            self._eye.start()
            self._grip = _Grip()

    def _help(self, task: TaskState, robot: Felt, over: bool) -> Array:
        """Move the stick (4,) until all is done, or, to hand back, bring it to rest and let go."""
        self._releasing |= self._hands_back and task.offset[2] < -_HANDED_BACK
        wanted: Array = np.zeros(4)
        if not self._releasing and not over:
            wanted = self._intend(self._eye.look(task.offset), float(robot.wrench[2]))
        stick = self._hand.move(wanted)
        ignored = self._grip.ignored(stick, task.offset, float(robot.wrench[2]))
        released = self._releasing and (np.abs(stick) < _STILL * MAX_INCREMENT).all()
        if not ignored and not released:
            return stick
        self._takeover = False
        self._hand.rest()
        if ignored:
            self._reacting = _reaction(self._rng, self._settings) + 1
        else:
            self._attention.restart()
        return np.zeros(4)

    def _intend(self, perceived: Array, push: float) -> Array:
        """Wanted increment (4,): lift where it is blocked, else align and go down."""
        if self._lift_to is None and push < -_BLOCKED:
            self._lift_to = perceived[2] + self._rng.uniform(0.0015, 0.0025)
        if self._lift_to is not None and perceived[2] >= self._lift_to:
            self._lift_to = None
        if self._lift_to is not None:
            return np.array([0.0, 0.0, self._limit[2], 0.0])
        limit = self._limit.copy()
        if abs(perceived[2]) < _RIM:
            limit[2] *= _GENTLE
        return insertion(perceived, limit, _GAIN, _INSIDE)


class _Attention:
    """Notices that the robot makes no progress or pushes too hard."""

    def __init__(self, rng: np.random.Generator, patience_s: float) -> None:
        self._patience = round(patience_s * rng.uniform(0.85, 1.15) * RATE_HZ)
        self._tolerated = int(rng.integers(*_TOLERATED_PUSHES))
        self._pushes, self._lifted = 0, True
        self._nearest, self._waited = np.inf, 0

    def restart(self) -> None:
        """Give the robot another chance; earlier pushes still count."""
        self._nearest, self._waited = np.inf, 0
        self._tolerated = max(self._tolerated, self._pushes + 1)

    def alarmed(self, offset: Array, wrench: Array) -> bool:
        """Look at the next tick; return whether to step in."""
        push = -wrench[2]
        if self._lifted and push > HARD_PUSH:
            self._pushes, self._lifted = self._pushes + 1, False
        elif push < LIFTED:
            self._lifted = True
        distance = float(np.linalg.norm(offset[:3] - DONE))
        self._waited += 1
        if distance < self._nearest - _PROGRESS:
            self._nearest, self._waited = distance, 0
        return self._waited >= self._patience or self._pushes >= self._tolerated


class _Eye:
    """Sees where the plug is: wrongly at first, better the longer it looks."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._bias: Array = np.zeros(4)
        self._ticks = 0

    def start(self) -> None:
        """Look at the plug from now on."""
        self._bias = self._rng.normal(0.0, _BIAS)
        self._ticks = 0

    def look(self, offset: Array) -> Array:
        """Perceived offset (4,) for the true one."""
        self._ticks += 1
        left = float(np.exp(-self._ticks / (_LOOK_S * RATE_HZ)))
        return offset + self._bias * (_LOOKED + (1.0 - _LOOKED) * left)


class _Hand:
    """Moves the stick as a critically damped muscle does, with a tremor.

    From rest to rest the stick follows a bell-shaped curve of limited jerk, close to the
    minimum-jerk motion of people.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._muscle, self._stick = np.zeros(4), np.zeros(4)

    def move(self, wanted: Array) -> Array:
        """The stick's increment (4,) one tick later."""
        tremor = self._rng.normal(0.0, _TREMOR, 4) * MAX_INCREMENT * bool(wanted.any())
        self._muscle += _STIFFNESS * (wanted + tremor - self._muscle)
        self._stick += _STIFFNESS * (self._muscle - self._stick)
        return np.clip(self._stick, -MAX_INCREMENT, MAX_INCREMENT)

    def rest(self) -> None:
        """Let go of the stick."""
        self._muscle, self._stick = np.zeros(4), np.zeros(4)


class _Grip:
    """Notices that the robot does not follow: its controller may need a new press of the button."""

    def __init__(self) -> None:
        self._seen: Array = np.full(4, np.inf)
        self._push, self._ticks = np.inf, 0

    def ignored(self, stick: Array, offset: Array, push: float) -> bool:
        """Whether the stick was deflected for long while the robot neither moved nor pushed."""
        moves = (np.abs(offset - self._seen) > _FOLLOWS).any()
        if moves or abs(push - self._push) > _PUSHED:
            self._seen, self._push, self._ticks = offset, push, 0
        elif (np.abs(stick) > _STILL * MAX_INCREMENT).any():
            self._ticks += 1
        return self._ticks >= _IGNORED


class _Judge:
    """Presses the label after a reaction time; if it was the wrong one, the right one after it."""

    def __init__(self, rng: np.random.Generator, settings: PersonSettings) -> None:
        self._delays = _reaction(rng, settings), 1 + round(_SLIP * _reaction(rng, settings))
        self._wrong = bool(rng.random() < settings.wrong_label)
        self._planned: list[tuple[int, str]] = []
        self._waited = 0
        self.satisfied = False

    def act(self, success: bool, over: bool, running: bool) -> tuple[str, ...]:
        """Buttons pressed at this tick."""
        if self.satisfied and not (running and over):
            return ()
        if not over and running:
            self._planned, self._waited = [], 0  # a second look: it is not over
            return ()
        if not self._planned:
            if not over:
                self.satisfied = True  # cut, or out of time: nothing to label
                return ()
            self._plan(success)
        self._waited += 1
        if self._waited < self._planned[0][0]:
            return ()
        (_, button), *self._planned = self._planned
        self._waited, self.satisfied = 0, not self._planned
        return (button,)

    def _plan(self, success: bool) -> None:
        """Decide when to press what; a press without effect is repeated."""
        right, wrong = ("success", "failure") if success else ("failure", "success")
        if self.satisfied:
            self._planned = [(_AGAIN, right)]
        elif self._wrong:
            self._planned = [(self._delays[0], wrong), (self._delays[1], right)]
        else:
            self._planned = [(self._delays[0], right)]


class _Repeated:
    """A press that is due after a delay, and again as long as its reason lasts."""

    def __init__(self, delay: int) -> None:
        self._delay = delay
        self._ticks = 0

    def due(self, reason: bool) -> bool:
        """Whether to press at this tick."""
        self._ticks = self._ticks + 1 if reason else 0
        return reason and self._ticks % _AGAIN == self._delay % _AGAIN


def _reaction(rng: np.random.Generator, settings: PersonSettings) -> int:
    """A reaction time in ticks, at least one."""
    return max(1, round(_around(settings.reaction_s, rng) * RATE_HZ))


def _around(mean: float, rng: np.random.Generator) -> float:
    return float(mean * rng.uniform(1.0 - _SPREAD, 1.0 + _SPREAD))
