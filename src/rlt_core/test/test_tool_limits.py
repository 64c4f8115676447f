"""A tool with six degrees of freedom stays inside its limits, whatever is requested."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlt_core.action_space import ActionSpace, gripper, tool
from rlt_core.control.motion_limits import MotionLimiter, MotionLimits
from rlt_core.control.rotations import between, from_vector
from rlt_core.robot.limits import AxisLimits, RotationLimits, ToolLimits, TranslationLimits

DT = 0.02
DOWN = (1.0, 0.0, 0.0, 0.0)
LOW, HIGH = np.array([0.3, -0.2, 0.0]), np.array([0.6, 0.2, 0.3])
ROUNDING = 1e-9


def make_limits(velocity=0.25, acceleration=2.0, turn=0.8, turning=8.0, cone=0.4, error=0.02):
    return ToolLimits(
        translation=TranslationLimits(
            min=tuple(LOW), max=tuple(HIGH), velocity=velocity, acceleration=acceleration,
            max_tracking_error=error,
        ),
        rotation=RotationLimits(
            cone=cone, velocity=turn, acceleration=turning, max_tracking_error=0.1
        ),
    )


def make_limiter(frame="base", **changes):
    space = ActionSpace((tool(increments=frame, nominal=DOWN),))
    return MotionLimiter(space, DT, MotionLimits({"arm": make_limits(**changes)}, 5))


def norms(values):
    return np.array([np.linalg.norm(values[:3]), np.linalg.norm(values[3:])])


wishes = st.one_of(
    st.just(None),
    st.tuples(*[st.floats(-0.006, 0.006)] * 6).map(np.array),
    st.tuples(*[st.floats(-3.0, 3.0)] * 6).map(np.array),
    st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 6).map(np.array),
)
pushes = st.one_of(
    st.just(np.zeros(6)), st.tuples(*[st.floats(-0.03, 0.03)] * 6).map(np.array),
    st.tuples(*[st.sampled_from([0.0, 1e7, -1e300, 1.7e308])] * 6).map(np.array),
)
places = st.tuples(
    *(st.floats(low, high) for low, high in zip(LOW, HIGH, strict=True)),
    *[st.floats(-0.2, 0.2)] * 3,
).map(np.array)
some_limits = st.fixed_dictionaries({
    "velocity": st.floats(0.02, 2.0), "acceleration": st.floats(2.0, 60.0),
    "turn": st.floats(0.05, 3.0), "turning": st.floats(3.0, 90.0), "cone": st.floats(0.35, 1.5),
})


@pytest.mark.parametrize("frame", ["base", "tool"])
@settings(max_examples=60)
@given(limits=some_limits, start=places,
       inputs=st.lists(st.tuples(wishes, pushes), min_size=1, max_size=40),
       persistence=st.integers(1, 12))
@example(limits={"velocity": 1.0, "acceleration": 2.0, "turn": 1.0, "turning": 3.0, "cone": 1.0},
         start=np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]), persistence=2,
         inputs=[(np.array([0.0] * 5 + [1.7e308]), np.zeros(6))])
def test_any_request_stays_inside_the_limits(frame, limits, start, inputs, persistence):
    limiter = make_limiter(frame, **limits)
    space = ActionSpace((tool(increments=frame, nominal=DOWN),))
    limiter.start(start)
    last, before = start, np.zeros(6)
    speed = np.array([limits["velocity"], limits["turn"]]) * DT
    change = np.array([limits["acceleration"], limits["turning"]]) * DT * DT
    for wish, push in inputs:
        for _ in range(persistence):
            sent = limiter.limit(wish, last + push)
            assert np.isfinite(sent.setpoint).all() and np.isfinite(sent.increment).all()
            np.testing.assert_allclose(
                space.add(last, sent.increment), sent.setpoint, rtol=0, atol=1e-9
            )
            base = space.groups[0].to_base(sent.increment, space.groups[0].orientation(last))
            assert (norms(base) <= speed * (1 + ROUNDING) + 1e-12).all()
            assert (norms(base - before) <= change * (1 + ROUNDING) + 1e-9).all()
            assert (sent.setpoint[:3] >= LOW).all() and (sent.setpoint[:3] <= HIGH).all()
            tilt = np.linalg.norm(between(DOWN, space.groups[0].orientation(sent.setpoint)))
            assert tilt <= max(limits["cone"], np.linalg.norm(start[3:])) + ROUNDING
            last, before = sent.setpoint, base


@given(start=places, wish=st.tuples(*[st.floats(-3.0, 3.0)] * 6).map(np.array))
def test_a_hold_stops_the_tool_as_fast_as_it_may(start, wish):
    limiter = make_limiter()
    limiter.start(start)
    place = start
    for _ in range(20):
        place = limiter.limit(wish, place).setpoint
    ticks = math.ceil(0.25 / 2.0 / DT) + 1
    for _ in range(ticks):
        sent = limiter.limit(None, place)
        place = sent.setpoint
    np.testing.assert_array_equal(sent.increment, np.zeros(6))


def test_the_tool_slides_along_a_wall_and_along_the_cone():
    limiter = make_limiter()
    start = np.array([0.59, 0.0, 0.1, 0.0, 0.0, 0.0])
    limiter.start(start)
    place = start
    for _ in range(60):
        place = limiter.limit(np.array([0.003, 0.002, 0.0, 0.01, 0.0, 0.002]), place).setpoint
    assert place[0] == pytest.approx(HIGH[0]) and place[1] > 0.1  # the wall does not stop y
    tilt = np.linalg.norm(place[3:])
    assert tilt == pytest.approx(0.4, abs=1e-3) and place[5] > 0.01


@pytest.mark.parametrize("start", [0.7, 0.25])
def test_a_tool_that_starts_outside_may_only_move_back(start):
    limiter = make_limiter()
    place = np.array([start, 0.0, 0.1, 0.6, 0.0, 0.0])  # outside of box and cone
    limiter.start(place)
    outside, tilt = abs(start - 0.45), 0.6
    for _ in range(100):
        out = limiter.limit(np.array([start - 0.45, 0.0, 0.0, 0.02, 0.0, 0.0]), place)
        place = out.setpoint
        assert abs(place[0] - 0.45) <= outside + ROUNDING
        assert np.linalg.norm(place[3:]) <= tilt + ROUNDING
    for _ in range(200):
        place = limiter.limit(np.array([0.45 - start, 0.0, 0.0, -0.02, 0.0, 0.0]), place).setpoint
    assert LOW[0] <= place[0] <= HIGH[0] and np.linalg.norm(place[3:]) <= 0.4 + ROUNDING


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limits", [{}, {"velocity": 1.0, "turn": 3.0, "turning": 6.0}])
def test_the_set_point_does_not_run_away_from_a_tool_that_stands(limits, seed):
    limiter, random = make_limiter(**limits), np.random.default_rng(seed)
    stands = np.array([0.45, 0.0, 0.15, 0.0, 0.0, 0.0])
    limiter.start(stands)
    wish = random.normal(size=6)
    for _ in range(200):
        if random.random() < 0.2:
            wish = random.normal(size=6)  # a turn takes it along the edge, not away from it
        sent = limiter.limit(wish, stands)
        away = norms(np.concatenate([sent.setpoint[:3] - stands[:3], sent.setpoint[3:]]))
        assert (away <= np.array([0.02, 0.1]) + ROUNDING).all()


def test_the_set_point_follows_a_tool_that_is_pushed_away():
    limiter = make_limiter()
    start = np.array([0.45, 0.0, 0.15, 0.0, 0.0, 0.0])
    limiter.start(start)
    pushed = start + [0.05, 0.0, 0.0, 0.0, 0.3, 0.0]
    for _ in range(100):
        sent = limiter.limit(np.zeros(6), pushed)
    away = pushed - sent.setpoint
    assert (norms(away) <= np.array([0.02, 0.1]) + ROUNDING).all()


def test_the_limits_that_act_are_named():
    limiter = make_limiter()
    limiter.start(np.array([0.599, 0.0, 0.1, 0.0, 0.0, 0.0]))
    place = np.array([0.599, 0.0, 0.1, 0.0, 0.0, 0.0])
    assert limiter.limit(np.array([0.0, 0.1, 0.0, 0.0, 0.0, 0.0]), place).limited == (
        "velocity", "acceleration",
    )
    names = set()
    for _ in range(20):
        names.update(limiter.limit(np.array([0.004, 0.0, 0.0, 0.0, 0.0, 0.0]), place).limited)
    assert "workspace" in names
    assert limiter.limit(np.full(6, np.nan), place).limited[0] == "finite"


def test_a_tool_and_a_gripper_have_limits_of_their_kind():
    space = ActionSpace((tool(nominal=DOWN), gripper()))
    grip = {"gripper": AxisLimits(
        min=0.0, max=1.0, velocity=2.0, acceleration=40.0, max_tracking_error=1.0
    )}
    limiter = MotionLimiter(space, DT, MotionLimits({"arm": make_limits(), "gripper": grip}, 5))
    np.testing.assert_allclose(limiter.max_increment, [0.005] * 3 + [0.016] * 3 + [0.04])
    np.testing.assert_allclose(limiter.max_step, [0.005, 0.016, 0.04])
    limiter.start(np.array([0.45, 0.0, 0.15, 0.0, 0.0, 0.0, 1.0]))
    sent = limiter.limit(np.array([0.0] * 6 + [-0.03]), None)
    assert sent.setpoint[6] == pytest.approx(1.0 - 40.0 * DT * DT)
    with pytest.raises(ValueError, match="not those of its kind tool"):
        MotionLimiter(space, DT, MotionLimits({"arm": grip, "gripper": grip}, 5))


def test_the_nominal_orientation_is_where_rotation_vectors_count_from():
    tilted = from_vector([2.0, 0.0, 0.0])
    group = tool(nominal=tilted)
    np.testing.assert_allclose(group.position(np.zeros(3), tilted), np.zeros(6), atol=1e-12)
