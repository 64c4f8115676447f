"""The control loop under the faults of a robot."""

import dataclasses
import math
import time

import numpy as np
import pytest
from axis_columns import AxisColumns
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlt_core.action_space import TOOL_YAW, ActionGroup, ActionSpace
from rlt_core.contract import Contract, Normaliser, VectorSpec
from rlt_core.control.control_loop import LEADER_SILENCE_S, ControlLoop
from rlt_core.control.rejection import Rejection
from rlt_core.records import (
    ActionChunk,
    EpisodeKind,
    EpisodeState,
    HumanInput,
    Phase,
    RobotState,
    Source,
)
from rlt_core.settings import ChunkSettings

AXES = ("x", "yaw")
CHUNK = 4
HORIZON = 12
MAX_AGE = 5
STEP = np.array([2e-4, 3e-3], np.float32)
HAND = np.array([-3e-4, 0.0], np.float32)
ONE = np.ones(2, np.float32)
SPACE = ActionSpace((ActionGroup("arm", TOOL_YAW, AXES, ("m", "rad")),))
CONTRACT = Contract(
    "tiny", "", "", "", (), VectorSpec(AXES, ("m", "rad"), "tcp"),
    SPACE, Normaliser(ONE, ONE, ONE, ONE, ONE),
    horizon=HORIZON, chunk=CHUNK, stride=2,
)
COLUMNS = AxisColumns(
    position_min=[-0.1, -0.5], position_max=[0.1, 0.5], velocity=[0.05, 0.85],
    acceleration=[2.0, 40.0], max_tracking_error=[0.006, 0.1],
)
LIMITS = COLUMNS.limits(SPACE, MAX_AGE)


def make_episode(number=1, start=0):
    return EpisodeState(
        "run", number, EpisodeKind.TRAIN, Phase.RUNNING, Source.ACTOR, True, 1, start, start
    )


def make_chunk(obs_tick, **changes):
    chunk = ActionChunk(
        1, obs_tick, obs_tick, np.tile(STEP, (CHUNK, 1)), np.tile(STEP, (HORIZON - CHUNK, 1)),
        Source.ACTOR, 3, AXES, CONTRACT.hash(),
    )
    return dataclasses.replace(chunk, **changes)


def make_human(sequence, takeover=True, **changes):
    human = HumanInput(sequence, takeover, HAND, AXES, float(sequence), CONTRACT.hash())
    return dataclasses.replace(human, **changes)


class Arm:
    """A robot that follows its set-points exactly, with its control loop."""

    def __init__(self, limits=LIMITS, **settings):
        self.loop = ControlLoop(
            CONTRACT,
            limits,
            ChunkSettings(**{"max_stretch_ticks": 2, "blend_ticks": 3, **settings}),
        )
        self.loop.start(make_episode(), np.zeros(2))
        self.position = np.zeros(2)
        self.tick = 0

    def run(self, ticks, *, chunks=True, human=None, state=None):
        """Step; `human(tick)` and `state(tick)` optionally provide the inputs."""
        steps = []
        for _ in range(ticks):
            if chunks and self.tick % CHUNK == 0:
                self.loop.offer_chunk(make_chunk(self.tick))
            if human:
                self.loop.offer_human(human(self.tick))
            measured = RobotState(self.tick, self.position, float(self.tick))
            step = self.loop.step(self.tick, state(self.tick) if state else measured)
            assert np.isfinite(step.setpoint).all()
            self.position = step.setpoint
            self.tick += 1
            steps.append(step)
        return steps


def sources(steps):
    return [step.source for step in steps]


def test_the_policys_chunks_are_executed_and_recorded_as_sent():
    steps = Arm().run(10)
    assert sources(steps) == [Source.ACTOR] * 10
    assert [step.obs_tick for step in steps] == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]
    assert {step.policy_version for step in steps} == {3}
    last = np.zeros(2)
    for step in steps[1:]:
        np.testing.assert_allclose(step.increment, STEP, rtol=1e-6)
    for step in steps:
        np.testing.assert_allclose(step.setpoint - last, step.increment, atol=1e-9)
        last = step.setpoint
        assert step.increment.dtype == np.float32 and step.setpoint.dtype == np.float64


def changed(values, place, value):
    values = values.copy()
    values[place] = value
    return values


GOOD = make_chunk(CHUNK)


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"actions": changed(GOOD.actions, (2, 1), np.nan)}, "nonfinite", "actions[2, yaw] = nan"),
        ({"actions": changed(GOOD.actions, (0, 0), np.inf)}, "nonfinite", "actions[0, x] = inf"),
        ({"tail": changed(GOOD.tail, (1, 0), -np.inf)}, "nonfinite", "tail[1, x] = -inf"),
        ({"actions": GOOD.actions[:2]}, "shape", "(2, 2)"),
        ({"actions": GOOD.actions[0]}, "shape", "not a numeric matrix"),
        ({"tail": GOOD.tail[:, :1]}, "shape", "expected (4, 2) and (8, 2)"),
        ({"axis_names": ("x", "z")}, "names", "(x, z), expected (x, yaw)"),
        ({"axis_names": ("x",)}, "names", "(x)"),
        ({"contract_hash": "beef"}, "contract", "beef"),
        ({"actions": 20 * GOOD.actions}, "scale", "units"),
        ({"source": Source.HUMAN}, "source", "has source HUMAN, expected BASE or ACTOR"),
        ({"source": Source.HOLD}, "source", "HOLD"),
        ({"source": Source.UNKNOWN}, "source", "UNKNOWN"),
    ],
)
def test_a_bad_chunk_is_refused_whole_and_held(changes, code, words):
    arm = Arm()
    arm.run(CHUNK)
    rejection = arm.loop.offer_chunk(make_chunk(CHUNK, **changes))
    assert rejection.code == code and words in rejection.message
    assert arm.loop.rejections == {f"chunk.{code}": 1}
    assert arm.loop.ready(CHUNK), "a rejected chunk must not stop lockstep"
    assert sources(arm.run(CHUNK, chunks=False)) == [Source.HOLD] * CHUNK
    assert arm.run(1)[0].source is Source.ACTOR


def test_axes_in_another_order_are_brought_into_ours():
    arm = Arm()
    swapped = make_chunk(
        0, actions=GOOD.actions[:, ::-1], tail=GOOD.tail[:, ::-1], axis_names=AXES[::-1]
    )
    assert arm.loop.offer_chunk(swapped) is None
    np.testing.assert_allclose(arm.run(2, chunks=False)[-1].increment, STEP, rtol=1e-6)


def test_a_silent_policy_ends_in_a_decelerated_hold():
    arm = Arm()
    arm.run(CHUNK)
    steps = arm.run(8, chunks=False)
    assert sources(steps) == [Source.BASE] * 2 + [Source.HOLD] * 6
    assert not np.any(steps[-1].increment)
    assert sources(arm.run(1)) == [Source.ACTOR]


def test_a_chunk_of_the_coming_episode_waits_for_it():
    arm = Arm()
    assert arm.loop.offer_chunk(make_chunk(8, episode=2)) is None
    assert sources(arm.run(1, chunks=False)) == [Source.HOLD]
    arm.loop.start(make_episode(2, start=8), arm.position)
    arm.tick = 8
    assert arm.loop.ready(8)
    assert sources(arm.run(1, chunks=False)) == [Source.ACTOR]


def test_a_chunk_of_the_last_episode_is_refused():
    arm = Arm()
    arm.loop.start(make_episode(2), arm.position)
    assert arm.loop.offer_chunk(make_chunk(0)).code == "episode"
    assert not arm.loop.ready(0)


def test_between_episodes_the_robot_holds():
    arm = Arm()
    arm.run(3)
    arm.loop.stop()
    steps = arm.run(3)
    assert sources(steps) == [Source.HOLD] * 3
    assert {step.episode for step in steps} == {0}


def test_the_first_command_is_relative_to_the_measured_position():
    arm = Arm()
    arm.run(6)
    arm.loop.start(make_episode(2, start=8), np.array([0.05, 0.2]))
    arm.tick, arm.position = 8, np.array([0.05, 0.2])
    step = arm.run(1, chunks=False)[0]
    np.testing.assert_array_equal(step.setpoint, [0.05, 0.2])


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (lambda tick: RobotState(tick, np.array([np.nan, 0.0]), tick), "nonfinite"),
        (lambda tick: RobotState(tick, np.zeros(3), tick), "shape"),
        (lambda tick: RobotState(0, np.zeros(2), tick - MAX_AGE - 1.0), "stale"),
    ],
)
def test_without_a_usable_robot_state_it_holds_until_a_fresh_chunk(bad, code):
    arm = Arm()
    arm.run(5)
    assert sources(arm.run(1, state=bad)) == [Source.HOLD]
    assert arm.loop.fault.code == code
    assert arm.loop.rejections[f"state.{code}"] == 1
    recovered = arm.run(3)
    assert sources(recovered) == [Source.HOLD, Source.HOLD, Source.ACTOR]
    assert arm.loop.fault is None


def test_a_jump_of_the_measured_position_latches_a_hold():
    arm = Arm()
    arm.run(5)
    arm.run(1, state=lambda tick: RobotState(tick, arm.position + [0.5, 0.0], tick))
    assert arm.loop.fault.code == "jump" and "x moved by 0.5" in arm.loop.fault.message
    held = arm.run(10)
    assert sources(held) == [Source.HOLD] * 10
    assert all(step.fault == "jump" for step in held)
    arm.loop.start(make_episode(2, start=16), arm.position)
    arm.tick = 16
    arm.loop.offer_chunk(make_chunk(16, episode=2))
    assert sources(arm.run(1, chunks=False)) == [Source.ACTOR]


@given(st.floats(-10.0, 10.0))
def test_a_yaw_that_begins_anew_at_half_a_turn_is_no_jump(start):
    around = dataclasses.replace(
        COLUMNS, position_min=[-0.1, start - 1.0], position_max=[0.1, start + 1.0]
    ).limits(SPACE, MAX_AGE)
    steps = []
    for wraps in (False, True):
        arm = Arm(around)
        arm.position = np.array([0.0, start])
        arm.loop.start(make_episode(), arm.position)
        steps.append([])
        for tick in range(40):
            yaw = math.remainder(arm.position[1], math.tau) if wraps else arm.position[1]
            state = RobotState(tick, np.array([arm.position[0], yaw]), float(tick))
            steps[-1] += arm.run(1, state=lambda _, state=state: state)
        assert arm.loop.fault is None
        assert sources(steps[-1]) == [Source.ACTOR] * 40
    for unwrapped, wrapped in zip(*steps, strict=True):
        np.testing.assert_allclose(wrapped.setpoint, unwrapped.setpoint, rtol=0, atol=1e-9)
        np.testing.assert_allclose(wrapped.increment, unwrapped.increment, rtol=0, atol=1e-9)


def test_a_yaw_that_really_jumps_latches_a_hold():
    arm = Arm()
    arm.run(5)
    arm.run(1, state=lambda tick: RobotState(tick, arm.position + [0.0, 1.0], tick))
    assert arm.loop.fault.code == "jump" and "yaw moved by 1" in arm.loop.fault.message


def test_a_robot_that_hears_and_does_not_follow_holds_the_policy_until_it_moves():
    arm = Arm()
    there = np.zeros(2)

    def stuck(tick):
        return RobotState(tick, there, float(tick))

    steps = arm.run(100, state=stuck)
    first = next(tick for tick, step in enumerate(steps) if step.source is Source.HOLD)
    assert 50 < first < 90 and arm.loop.fault.code == "still"
    assert sources(steps[first:]) == [Source.HOLD] * (100 - first)
    arm.position = np.array([0.002, 0.0])  # its driver was enabled
    assert sources(arm.run(2 * CHUNK))[-1] is Source.ACTOR


def press(tick, since=0):
    return make_human(tick, takeover=tick >= since)


def test_takeover_wins_in_one_tick_and_is_blended_in():
    arm = Arm()
    arm.run(6, human=lambda tick: press(tick, since=6))
    steps = arm.run(5, human=press)
    assert sources(steps) == [Source.BLEND] * 3 + [Source.HUMAN] * 2
    x = [step.increment[0] for step in steps]
    np.testing.assert_allclose(x[:3], HAND[0] * np.array([1, 2, 3]) / 4, 1e-5)
    np.testing.assert_allclose(steps[-1].increment, HAND, rtol=1e-6)
    assert {step.policy_version for step in steps} == {0}


@pytest.mark.parametrize("blend_ticks", [0, 5])
def test_neutral_sticks_stop_the_robot_as_fast_as_a_hold(blend_ticks):
    slow = dataclasses.replace(COLUMNS, acceleration=[0.1, 2.0]).limits(SPACE, MAX_AGE)
    motions = []
    for takeover in (True, False):
        arm = Arm(limits=slow, blend_ticks=blend_ticks)
        arm.run(3 * CHUNK, human=lift)
        neutral = make_human(arm.tick, takeover, increment=np.zeros(2, np.float32))
        arm.loop.offer_human(neutral)
        if not takeover:
            arm.loop.stop()
        steps = arm.run(MAX_AGE + 1, chunks=False)
        assert (Source.HOLD in sources(steps)) == (not takeover)
        motions.append([step.increment for step in steps])
    assert np.any(motions[0][2]) and not np.any(motions[0][-1]), "it takes some ticks"
    np.testing.assert_allclose(*motions, atol=1e-9)


def test_release_hands_back_only_on_a_chunk_observed_since():
    arm = Arm()
    arm.run(5, human=lambda tick: press(tick, since=1))
    steps = arm.run(7, human=lambda tick: make_human(tick, takeover=False))
    assert sources(steps) == [Source.HOLD] * 3 + [Source.ACTOR] * 4
    assert steps[3].obs_tick == 8


def test_lockstep_does_not_wait_for_chunks_that_a_takeover_dropped():
    arm = Arm()
    arm.run(6, human=lambda tick: press(tick, since=1))
    assert arm.loop.ready(6)


def lift(tick):
    return make_human(tick, takeover=False)


@pytest.mark.parametrize("fault", ["", "the gamepad is unplugged"])
def test_a_person_lost_in_takeover_latches_until_the_button_is_pressed_again(fault):
    arm = Arm(human_silence_ticks=2 * MAX_AGE)
    arm.run(8, human=lambda tick: press(tick, since=1))
    if fault:
        assert arm.loop.offer_human(make_human(8, fault=fault)) is None, "a fault, not rejected"
    steps = arm.run(4 * MAX_AGE)
    moving = [source is Source.HUMAN for source in sources(steps)]
    assert moving == [not fault] * MAX_AGE + [False] * (3 * MAX_AGE), "old commands end"
    assert arm.loop.fault.code == ("device" if fault else "silence")
    assert (fault or "no human_command from") in arm.loop.fault.message
    held = arm.run(CHUNK + 1, human=press)
    assert sources(held) == [Source.HOLD] * (CHUNK + 1), "still down: not a new press"
    released = arm.run(CHUNK + 1, human=lift)
    assert sources(released) == [Source.HOLD] * (CHUNK + 1), "never back to the policy"
    assert sources(arm.run(1, human=press)) == [Source.BLEND]
    assert arm.loop.fault is None
    back = arm.run(2 * CHUNK, human=lift)
    assert back[-1].source is Source.ACTOR


def test_a_short_silence_in_takeover_only_stops_the_motion():
    arm = Arm(human_silence_ticks=2 * MAX_AGE)
    arm.run(8, human=lambda tick: press(tick, since=1))
    assert sources(arm.run(MAX_AGE + 2))[-2:] == [Source.HOLD] * 2
    assert sources(arm.run(4, human=press)) == [Source.BLEND] * 3 + [Source.HUMAN]


def test_after_trouble_in_takeover_the_person_is_blended_in_again():
    arm = Arm()
    arm.run(8, human=lambda tick: press(tick, since=1))
    bad = arm.run(1, human=press, state=lambda tick: RobotState(tick, np.full(2, np.nan), tick))
    assert sources(bad) == [Source.HOLD]
    steps = arm.run(4, human=press)
    assert sources(steps) == [Source.BLEND] * 3 + [Source.HUMAN]
    np.testing.assert_allclose(steps[0].increment, HAND / 4, rtol=1e-5)


def test_a_release_does_not_outlive_a_silence():
    arm = Arm(human_silence_ticks=MAX_AGE)
    arm.run(8, human=lambda tick: press(tick, since=1))
    arm.run(2 * MAX_AGE)
    arm.run(1, human=lift)
    arm.run(2 * MAX_AGE)
    assert sources(arm.run(CHUNK, human=press)) == [Source.HOLD] * CHUNK


def test_silence_of_a_gamepad_that_is_not_in_use_does_not_matter():
    arm = Arm()
    arm.run(2, human=lift)
    assert sources(arm.run(30)) == [Source.ACTOR] * 30
    arm.loop.offer_human(make_human(40, takeover=False, fault="unplugged"))
    assert sources(arm.run(30)) == [Source.ACTOR] * 30


def test_a_button_that_went_down_unseen_holds():
    arm = Arm()
    arm.run(2, human=lift)
    arm.run(30)
    assert sources(arm.run(CHUNK, human=press)) == [Source.HOLD] * CHUNK
    assert arm.loop.fault.code == "held"


@pytest.mark.parametrize("fault", ["", "the gamepad is unplugged"])
def test_without_a_required_operator_the_policy_does_not_act(fault):
    arm = Arm(operator_required=True, human_silence_ticks=MAX_AGE)
    assert sources(arm.run(CHUNK + 1)) == [Source.HOLD] * (CHUNK + 1)
    assert arm.loop.fault.code == "operator"
    steps = arm.run(2 * CHUNK, human=lift)
    assert sources(steps) == [Source.HOLD] * 3 + [Source.ACTOR] * 5, "only on a fresh chunk"
    if fault:
        steps = arm.run(4, human=lambda tick: make_human(tick, takeover=False, fault=fault))
        assert sources(steps) == [Source.HOLD] * 4
    else:
        steps = arm.run(2 * MAX_AGE)
        assert sources(steps) == [Source.ACTOR] * MAX_AGE + [Source.HOLD] * MAX_AGE
    assert arm.loop.fault.code == "operator" and fault in arm.loop.fault.message
    assert sources(arm.run(2 * CHUNK, human=lift))[-1] is Source.ACTOR


def test_a_person_may_act_where_the_policy_may_not():
    arm = Arm(operator_required=True)
    arm.loop.offer_human(make_human(0, takeover=False))
    for _ in range(3):
        arm.loop.offer_chunk(make_chunk(arm.tick, actions=20 * GOOD.actions))
    assert sources(arm.run(1)) == [Source.HOLD]
    assert arm.loop.fault.code == "trip"
    assert sources(arm.run(1, human=press)) == [Source.BLEND]


def test_three_refused_chunks_in_a_row_end_the_policys_turn_until_the_next_episode():
    arm = Arm()
    for _ in range(3):
        assert arm.loop.fault is None
        bad = arm.loop.offer_chunk(make_chunk(arm.tick, axis_names=("x", "z")))
        assert "until the next episode" in bad.message
        arm.run(CHUNK, chunks=False)
    assert arm.loop.fault.code == "trip"
    held = arm.run(3 * CHUNK)
    assert sources(held) == [Source.HOLD] * (3 * CHUNK)
    assert all(step.fault == "trip" for step in held)
    arm.loop.start(make_episode(2, start=arm.tick), arm.position)
    arm.loop.offer_chunk(make_chunk(arm.tick, episode=2))
    assert sources(arm.run(1, chunks=False)) == [Source.ACTOR]


def test_a_good_chunk_between_refused_ones_is_no_trip():
    arm = Arm()
    for _ in range(4):
        arm.loop.offer_chunk(make_chunk(arm.tick, actions=20 * GOOD.actions))
        arm.run(CHUNK, chunks=False)
        assert sources(arm.run(CHUNK)) == [Source.ACTOR] * CHUNK


def test_a_chunk_observed_before_a_hold_ended_never_acts():
    arm = Arm()
    arm.run(CHUNK)
    late = make_chunk(arm.tick)
    arm.run(1, chunks=False, human=lift)
    arm.run(1, chunks=False, human=press)
    arm.run(1, chunks=False, human=lift)
    assert arm.loop.offer_chunk(late) is None, "the policy has no fault"
    assert arm.loop.ready(arm.tick)
    assert sources(arm.run(1, chunks=False)) == [Source.HOLD]
    assert sources(arm.run(1)) == [Source.ACTOR]


def test_a_policy_that_says_nothing_is_named():
    arm = Arm()
    arm.run(CHUNK)
    arm.run(2, chunks=False)
    assert arm.loop.fault is None, "the tail of the reference bridges a late chunk"
    arm.run(6, chunks=False)
    assert arm.loop.fault.code == "silent" and "tick 11" in arm.loop.fault.message
    assert sources(arm.run(1)) == [Source.ACTOR]
    assert arm.loop.fault is None
    health = arm.loop.health()
    assert (health.underruns, health.stretched, health.holds) == (6, 2, {"silent": 1})


def make_real_time():
    loop = ControlLoop(CONTRACT, LIMITS, ChunkSettings(max_stretch_ticks=2), real_time=True)
    loop.start(make_episode(), np.zeros(2))
    return loop


def beat_step(loop, tick, now, led=True):
    """One tick of real time, with or without a message of the episodes node."""
    loop.clock.begin_tick(now)
    if led:
        loop.note_leader(now)
    return loop.step(tick, RobotState(tick, np.zeros(2), now), now)


def beat(loop, tick, now, led=True):
    return beat_step(loop, tick, now, led).source


def test_a_conflict_holds_everybody_until_it_is_over_and_a_fresh_chunk_has_come():
    arm = Arm()
    arm.run(CHUNK + 1)
    arm.loop.blocked_by = Rejection("rival", "another node commands the robot")
    held = arm.run(2 * CHUNK)
    assert {step.source for step in held} == {Source.HOLD}
    assert (held[-1].setpoint == held[-3].setpoint).all()
    assert arm.loop.health().holds == {"rival": 1}
    arm.loop.blocked_by = None
    tick = arm.tick
    later = arm.run(2 * CHUNK)
    first = next(step for step in later if step.source is Source.ACTOR)
    assert first.obs_tick >= tick


def test_why_no_episode_can_start_is_the_trouble_until_that_is_over():
    arm = Arm()
    arm.loop.stop()
    fit = RobotState(0, arm.position, 0.0)
    assert arm.loop.not_ready(fit, 0.0) is None and arm.loop.health().fault is None
    assert arm.loop.not_ready(None, 0.0) is arm.loop.health().fault
    tilted = RobotState(0, arm.position, 0.0, "the tool is tilted")
    assert arm.loop.not_ready(tilted, 0.0) is arm.loop.health().fault
    arm.loop.stop()
    assert arm.loop.health().fault is None
    arm.loop.blocked_by = Rejection("unheard", "no driver hears")
    assert arm.loop.health().fault is arm.loop.blocked_by, "although no episode waits for it"
    assert arm.loop.not_ready(fit, 0.0) is arm.loop.blocked_by


def test_in_a_conflict_not_even_a_person_moves_the_robot():
    arm = Arm()
    arm.run(2, human=lambda tick: make_human(tick, takeover=False))
    assert arm.run(6, human=make_human)[-1].source is Source.HUMAN
    arm.loop.blocked_by = Rejection("rival", "another node commands the robot")
    assert {step.source for step in arm.run(4, human=make_human)} == {Source.HOLD}
    arm.loop.blocked_by = None
    assert arm.run(6, human=make_human)[-1].source is Source.HUMAN


def test_after_a_stall_the_policy_waits_for_a_fresh_chunk():
    loop = make_real_time()
    loop.offer_chunk(make_chunk(0))
    assert beat(loop, 0, 10.0) is Source.ACTOR
    assert beat(loop, 1, 12.0) is Source.HOLD
    assert loop.fault.code == "stall" and "2.00 s" in loop.fault.message
    for tick in range(2, 9):
        if tick % CHUNK == 0:
            loop.offer_chunk(make_chunk(tick))
        acting = beat(loop, tick, 11.98 + 0.02 * tick)
        assert acting is (Source.ACTOR if tick == 8 else Source.HOLD)
    assert loop.fault is None


def drive(loop, ticks, now, led=lambda tick: True):
    """Tick in time with fresh chunks; return the sources."""
    acted = []
    for tick in range(ticks):
        if tick % CHUNK == 0:
            loop.offer_chunk(make_chunk(tick))
        acted.append(beat(loop, tick, now + tick * CONTRACT.dt, led(tick)))
    return acted


def test_a_leader_that_falls_silent_is_a_hold_until_the_next_episode():
    loop = make_real_time()
    acted = drive(loop, 60, 10.0, led=lambda tick: tick == 0 or tick >= 40)
    longest = int(LEADER_SILENCE_S / CONTRACT.dt)
    assert acted == [Source.ACTOR] * (longest + 1) + [Source.HOLD] * (59 - longest)
    assert loop.fault.code == "leader" and "no episode_heartbeat" in loop.fault.message
    assert beat_step(loop, 60, 11.2).fault == "leader", "the episode is judged by nobody"
    loop.start(make_episode(2, start=64), np.zeros(2))
    loop.offer_chunk(make_chunk(64, episode=2))
    assert beat(loop, 64, 11.28) is Source.ACTOR


def test_a_leader_whose_word_comes_irregularly_stops_nobody():
    loop = make_real_time()
    every = int(LEADER_SILENCE_S / CONTRACT.dt)
    # Not for longer: this robot does not move, which is another fault.
    assert set(drive(loop, 75, 10.0, led=lambda tick: tick % every == 0)) == {Source.ACTOR}


def test_without_a_leader_not_even_a_person_moves_the_robot_and_no_episode_starts():
    loop = make_real_time()
    for tick in range(40):
        taken = tick >= 2
        loop.offer_human(make_human(tick, takeover=taken, received=10.0 + tick * CONTRACT.dt))
        source = beat(loop, tick, 10.0 + tick * CONTRACT.dt, led=tick < 10)
        if tick == 9:
            assert source is Source.HUMAN
    assert source is Source.HOLD and loop.fault.code == "leader"
    state = RobotState(40, np.zeros(2), 11.0)
    assert loop.not_ready(state, 11.0).code == "leader"
    loop.note_leader(11.0)
    assert loop.not_ready(state, 11.0) is None


def test_between_episodes_nobody_needs_a_leader():
    loop = make_real_time()
    loop.stop()
    drive(loop, 40, 10.0, led=lambda tick: tick == 0)
    assert loop.fault is None


def test_a_controller_that_stood_still_itself_does_not_blame_its_leader():
    loop = make_real_time()
    drive(loop, 4, 10.0)
    assert beat(loop, 4, 12.0, led=False) is Source.HOLD
    for tick in range(5, 14):
        if tick % CHUNK == 0:
            loop.offer_chunk(make_chunk(tick))
        acting = beat(loop, tick, 11.92 + tick * CONTRACT.dt, led=tick >= 6)
    assert acting is Source.ACTOR and loop.health().holds == {"stall": 1}


def test_ticks_that_are_late_again_and_again_are_a_hold():
    loop = make_real_time()
    now = 10.0
    for tick, late in enumerate((0.0, 0.03, 0.03, 0.03)):
        now += CONTRACT.dt + late
        beat(loop, tick, now)
    assert loop.fault.code == "overrun"
    steps = []
    for tick in range(4, 64):
        now += CONTRACT.dt
        if tick % CHUNK == 0:
            loop.offer_chunk(make_chunk(tick))
        steps.append(beat(loop, tick, now))
    assert steps.index(Source.ACTOR) in range(49, 50 + CHUNK)
    assert loop.fault is None and Source.HOLD not in steps[steps.index(Source.ACTOR) :]


def test_health_tells_what_was_refused_and_limited():
    arm = Arm()
    arm.loop.offer_chunk(make_chunk(0, actions=10 * GOOD.actions))
    arm.run(2, chunks=False)
    arm.loop.offer_chunk(make_chunk(0, contract_hash="beef"))
    health = arm.loop.health()
    assert health.rejections == {"chunk.contract": 1}
    assert health.limited == {"velocity": 2, "acceleration": 1}
    assert health.takeover.value == "policy" and health.fault is None
    assert health.lateness.max == 0.0


def test_a_button_that_is_down_at_the_start_holds():
    arm = Arm()
    assert sources(arm.run(5, human=press)) == [Source.HOLD] * 5


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"increment": np.array([np.nan, 0.0], np.float32)}, "nonfinite"),
        ({"increment": np.zeros(3, np.float32)}, "shape"),
        ({"increment": np.zeros((1, 2), np.float32)}, "shape"),
        ({"axis_names": ("x", "roll")}, "names"),
        ({"contract_hash": ""}, "contract"),
        ({"increment": np.array([1.0, 0.0], np.float32)}, "scale"),
    ],
)
def test_a_bad_command_in_takeover_is_a_hold_not_the_policy(changes, code):
    arm = Arm()
    arm.run(6, human=lambda tick: press(tick, since=1))
    assert arm.loop.offer_human(make_human(6, **changes)).code == code
    assert sources(arm.run(1)) == [Source.HOLD]
    assert arm.run(1, human=press)[0].source in (Source.BLEND, Source.HUMAN)


def test_old_commands_are_dropped_and_a_restarted_operator_is_heard():
    arm = Arm(human_silence_ticks=MAX_AGE)
    arm.run(6, human=lambda tick: make_human(tick + 100, takeover=False, received=float(tick)))
    assert arm.loop.offer_human(make_human(0, received=6.0)).code == "sequence"
    arm.run(MAX_AGE)
    assert arm.loop.offer_human(make_human(0, received=float(arm.tick))) is None


@pytest.mark.parametrize("older", [False, True])
def test_two_operators_are_a_hold_while_both_are_heard(older):
    """Whichever has the higher sequence: one's release must not end the other's takeover."""
    arm = Arm(human_silence_ticks=MAX_AGE)

    def both(tick):
        """One holds the button; the other, with higher or lower sequence numbers, does not."""
        other = 1000 if older else -1000
        arm.loop.offer_human(make_human(tick + 2000 + other, takeover=False, received=float(tick)))
        return make_human(tick + 2000, received=float(tick))

    arm.run(3, human=lambda tick: make_human(tick + 2000, takeover=False, received=float(tick)))
    arm.run(6, human=lambda tick: make_human(tick + 2000, received=float(tick)))
    assert sources(arm.run(12, human=both))[1:] == [Source.HOLD] * 11
    assert arm.loop.fault.code in ("operators", "silence", "held")
    assert "stop one of them" in arm.loop._dispute(float(arm.tick)).message


def test_human_axes_in_another_order_are_brought_into_ours():
    arm = Arm(blend_ticks=0)
    arm.run(1, human=lambda tick: make_human(tick, takeover=False))
    arm.loop.offer_human(make_human(1, increment=HAND[::-1].copy(), axis_names=AXES[::-1]))
    step = arm.run(1)[0]
    assert step.source is Source.HUMAN
    np.testing.assert_allclose(step.increment, HAND, rtol=1e-6)


def test_real_time_measures_age_in_seconds():
    loop = ControlLoop(CONTRACT, LIMITS, ChunkSettings(), real_time=True)
    loop.start(make_episode(), np.zeros(2))
    loop.note_leader(1000.0)
    loop.offer_chunk(make_chunk(0))
    fresh = RobotState(0, np.zeros(2), received=1000.0)
    with pytest.raises(ValueError, match="now"):
        loop.step(0, fresh)
    assert loop.step(0, fresh, now=1000.0 + 4.9 * CONTRACT.dt).source is Source.ACTOR
    assert loop.step(1, fresh, now=1000.0 + 5.1 * CONTRACT.dt).source is Source.HOLD
    assert "0.102 s old" in loop.fault.message


def test_a_joint_at_its_limit_is_a_hold_that_is_recorded():
    loop = ControlLoop(CONTRACT, LIMITS, ChunkSettings())
    loop.start(make_episode(), np.zeros(2))
    loop.offer_chunk(make_chunk(0))
    step = loop.step(0, RobotState(0, np.zeros(2), 0.0, fault="joint lift is at 3.1 rad"))
    assert (step.source, step.fault) == (Source.HOLD, "state")
    assert loop.fault.message == "joint lift is at 3.1 rad"


def test_a_joint_that_is_not_named_is_told_by_its_fault_and_latches():
    arm = Arm()
    arm.run(5)
    missing = "joint_states does not name the joints yaw"
    unnamed = np.array([0.0, np.nan])
    arm.run(1, state=lambda tick: RobotState(tick, unnamed, tick, missing))
    assert (arm.loop.fault.code, arm.loop.fault.message) == ("state", missing)
    assert sources(arm.run(2 * CHUNK)) == [Source.HOLD] * (2 * CHUNK)


wild = st.one_of(
    hnp.arrays(np.float32, (CHUNK, 2), elements=st.floats(-(2.0**-9), 2.0**-9, width=32)),
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.bool_, np.complex128]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    st.sampled_from([None, "x", np.array(["a", "b"]), np.array([None, 1.0], dtype=object)]),
)
names = st.sampled_from([AXES, AXES[::-1], ("x",), ("x", "z"), ()])


@pytest.mark.filterwarnings("ignore:overflow", "ignore::numpy.exceptions.ComplexWarning")
@given(st.data())
def test_whatever_comes_in_what_is_sent_is_finite_and_inside_the_limits(data):
    real_time = data.draw(st.booleans(), "real time")
    loop = ControlLoop(
        CONTRACT, LIMITS,
        ChunkSettings(
            max_stretch_ticks=2, blend_ticks=3, human_silence_ticks=4,
            operator_required=data.draw(st.booleans(), "operator required"),
        ),
        real_time=real_time,
    )
    loop.start(make_episode(), np.zeros(2))
    last, before = np.zeros(2), np.zeros(2)
    velocity = np.array(COLUMNS.velocity) * CONTRACT.dt
    acceleration = np.array(COLUMNS.acceleration) * CONTRACT.dt**2
    now, unit = 0.0, CONTRACT.dt if real_time else 1.0
    for tick in range(data.draw(st.integers(1, 25))):
        now = now + data.draw(st.floats(0.0, 0.3), "pause") if real_time else float(tick)
        for _ in range(data.draw(st.integers(0, 2), "chunks")):
            loop.offer_chunk(
                make_chunk(
                    data.draw(st.integers(0, tick + 2)),
                    actions=data.draw(wild),
                    tail=data.draw(st.one_of(st.just(GOOD.tail), wild)),
                    axis_names=data.draw(names),
                )
            )
        for _ in range(data.draw(st.integers(0, 2), "human commands")):
            loop.offer_human(
                make_human(
                    data.draw(st.integers(0, 30)),
                    takeover=data.draw(st.booleans()),
                    increment=data.draw(st.one_of(st.just(HAND), wild)),
                    axis_names=data.draw(names),
                    received=now - unit * data.draw(st.floats(0.0, 9.0)),
                    fault=data.draw(st.sampled_from(["", "", "unplugged"])),
                )
            )
        if real_time:
            loop.clock.begin_tick(now)
            if data.draw(st.integers(0, 3), "leader silent unless 0") == 0 or tick == 0:
                loop.note_leader(now)
        state = RobotState(
            tick,
            data.draw(st.one_of(st.just(last), wild), "position"),
            now - unit * data.draw(st.floats(0.0, 9.0)),
            data.draw(st.sampled_from(["", "", "", "joint lift is at its limit"])),
        )
        step = loop.step(tick, state, now)
        increment = step.setpoint - last
        assert np.isfinite(step.setpoint).all() and np.isfinite(step.increment).all()
        assert (np.abs(increment) <= velocity * (1 + 1e-9)).all()
        assert (np.abs(increment - before) <= acceleration * (1 + 1e-9)).all()
        assert (step.setpoint >= COLUMNS.position_min).all()
        assert (step.setpoint <= COLUMNS.position_max).all()
        if loop.fault is not None:
            assert step.source is Source.HOLD
        last, before = step.setpoint, increment


@pytest.mark.time_critical
def test_a_step_costs_less_than_a_tenth_of_a_millisecond():
    arm = Arm()

    def cost():
        begin = time.thread_time()  # without the other threads of this process
        arm.run(100)
        return (time.thread_time() - begin) / 100

    assert min(cost() for _ in range(30)) < 100e-6
