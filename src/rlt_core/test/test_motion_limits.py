"""The motion limits: for any input, the output is finite and inside every limit."""

import math

import numpy as np
import pytest
from axis_columns import AxisColumns
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlt_core.action_space import TOOL_YAW, ActionGroup, ActionSpace
from rlt_core.contract import Contract, Normaliser, VectorSpec
from rlt_core.control.angles import TURN
from rlt_core.control.motion_limits import MotionLimiter, MotionLimits, normalised_bound

AXES = ("x", "yaw")
GROUP = ActionGroup("arm", TOOL_YAW, AXES, ("m", "rad"))
SPACE = ActionSpace((GROUP,))
DT = 0.02
ROUNDING = 1e-9


def limits(**changes):
    """Speed 1 mm and 17 mrad per tick, with a stop within four ticks."""
    values = {
        "position_min": [-0.1, -0.5],
        "position_max": [0.1, 0.5],
        "velocity": [0.05, 0.85],
        "acceleration": [0.7, 12.0],
        "max_tracking_error": [0.006, 0.1],
    }
    return AxisColumns(**{**values, **changes})


def make_limiter(columns):
    return MotionLimiter(SPACE, DT, columns.limits(SPACE))


def sound(increments):
    """Requests of the right shape: small, large, and not finite."""
    return hnp.arrays(np.float64, 2, elements=increments)


anything = st.one_of(
    st.none(),
    sound(st.floats(-0.002, 0.002)),
    sound(st.floats(-1.0, 1.0)),
    sound(st.floats(allow_nan=True, allow_infinity=True)),
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.bool_, np.complex128]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    st.sampled_from([np.array(["a", "b"]), np.array([None, 1.0], dtype=object), 3.0, "x"]),
)
a_limit = st.floats(1e-3, 10.0)


@st.composite
def any_limits(draw):
    velocity = [draw(a_limit), draw(a_limit)]
    return limits(
        velocity=velocity,
        acceleration=[v / draw(st.floats(1e-3, 1.0)) for v in velocity],
        max_tracking_error=[draw(a_limit), draw(a_limit)],
    )


@given(
    any_limits(), sound(st.floats(-0.1, 0.1)), st.lists(st.tuples(anything, anything), max_size=40)
)
def test_every_command_is_finite_and_inside_the_limits(chosen, start, inputs):
    limiter = make_limiter(chosen)
    limiter.start(start)
    last, before = start, np.zeros(2)
    velocity = np.array(chosen.velocity) * DT
    acceleration = np.array(chosen.acceleration) * DT * DT
    for wish, measured in inputs:
        sent = limiter.limit(wish, measured)
        assert np.isfinite(sent.setpoint).all() and np.isfinite(sent.increment).all()
        np.testing.assert_allclose(sent.setpoint, last + sent.increment, rtol=0, atol=1e-15)
        assert (np.abs(sent.increment) <= velocity * (1 + ROUNDING)).all()
        change = np.abs(sent.increment - before)
        assert (change <= acceleration * (1 + ROUNDING) + 1e-12).all()
        assert (sent.setpoint >= chosen.position_min).all()
        assert (sent.setpoint <= chosen.position_max).all()
        last, before = sent.setpoint, sent.increment


@given(any_limits(), st.lists(anything, max_size=40))
def test_setpoint_stays_on_the_leash_of_a_blocked_robot(chosen, wishes):
    limiter = make_limiter(chosen)
    blocked = np.array([0.01, -0.02])
    limiter.start(blocked)
    for wish in wishes:
        away = np.abs(limiter.limit(wish, blocked).setpoint - blocked)
        assert (away <= np.array(chosen.max_tracking_error) * (1 + ROUNDING) + 1e-12).all()


@given(sound(st.floats(-0.05, 0.05)), st.lists(sound(st.floats(-1.0, 1.0)), max_size=10))
def test_setpoint_follows_a_robot_that_is_pushed_away(pushed, wishes):
    limiter = make_limiter(limits())
    limiter.start(np.zeros(2))
    for wish in wishes:
        limiter.limit(wish, np.zeros(2))
    for _ in range(100):
        sent = limiter.limit(None, pushed)
        assert (np.abs(sent.increment) <= limiter.max_increment * (1 + ROUNDING)).all()
    allowed = np.array(limits().max_tracking_error) + ROUNDING
    assert (np.abs(sent.setpoint - pushed) <= allowed).all()
    assert (sent.increment == 0.0).all()


@given(any_limits(), st.lists(sound(st.floats(-1.0, 1.0)), max_size=20))
def test_hold_stops_as_fast_as_the_acceleration_limit_allows(chosen, wishes):
    limiter = make_limiter(chosen)
    limiter.start(np.zeros(2))
    for wish in wishes:
        limiter.limit(wish, None)
    acceleration = np.array(chosen.acceleration) * DT * DT
    ticks = math.ceil((np.abs(limiter.increment) / acceleration).max() - ROUNDING)
    for _ in range(ticks):
        limiter.limit(None, None)
    np.testing.assert_allclose(limiter.increment, 0.0, atol=1e-9)


@given(st.floats(-5.0, 5.0), st.lists(sound(st.floats(-1.0, 1.0)), max_size=30))
def test_a_robot_outside_the_workspace_only_moves_back(start, wishes):
    limiter = make_limiter(limits(max_tracking_error=[10.0, 10.0]))
    limiter.start(np.array([start, 0.0]))
    outside = max(abs(start) - 0.1, 0.0)
    for wish in wishes:
        sent = limiter.limit(wish, None)
        now = max(abs(sent.setpoint[0]) - 0.1, 0.0)
        assert now <= outside
        assert abs(sent.increment[0]) <= limiter.max_increment[0] * (1 + ROUNDING)
        outside = now


@settings(max_examples=20)
@given(st.floats(0.06, 5.0), st.sampled_from([-1.0, 1.0]))
def test_full_speed_into_the_edge_brakes_in_time_and_reaches_it(acceleration, side):
    chosen = limits(acceleration=[acceleration, 12.0], max_tracking_error=[1.0, 1.0])
    limiter = make_limiter(chosen)
    limiter.start(np.zeros(2))
    before = 0.0
    for _ in range(300):
        sent = limiter.limit(np.array([side * 0.001, 0.0]), None)
        assert abs(sent.increment[0] - before) <= acceleration * DT * DT * (1 + ROUNDING)
        before = sent.increment[0]
    assert sent.setpoint[0] == pytest.approx(side * 0.1, abs=1e-9)


@given(st.floats(0.099, 0.1), st.sampled_from([-1.0, 1.0]))
def test_rounding_never_carries_a_setpoint_over_the_edge(start, side):
    limiter = make_limiter(limits(max_tracking_error=[1.0, 1.0]))
    limiter.start(np.array([side * start, 0.0]))
    for _ in range(8):
        assert abs(limiter.limit(np.array([side, 0.0]), None).setpoint[0]) <= 0.1


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ([np.nan, 0.0], {"finite"}),
        ([0.0005, 0.0], {"acceleration"}),
        ([0.0001, 0.0], set()),
        ([0.00028 * (1 + 1e-8), 0.0], set()),
        ([0.01, 0.0], {"velocity", "acceleration"}),
    ],
)
def test_limits_that_act_are_named(wish, expected):
    limiter = make_limiter(limits())
    limiter.start(np.zeros(2))
    assert set(limiter.limit(np.array(wish), np.zeros(2)).limited) == expected


def test_leash_and_workspace_are_named():
    limiter = make_limiter(limits())
    limiter.start(np.array([0.1, 0.0]))
    assert "workspace" in limiter.limit(np.array([0.0001, 0.0]), None).limited
    limiter.start(np.zeros(2))
    sent = limiter.limit(np.array([0.0002, 0.0]), np.array([-0.0061, 0.0]))
    assert "tracking_error" in sent.limited


def test_numbers_that_overflow_are_never_sent():
    limiter = make_limiter(limits(max_tracking_error=[1e308, 1e308]))
    limiter.start(np.zeros(2))
    for _ in range(5):
        sent = limiter.limit(np.array([1e308, -1e308]), np.array([1e308, -1e308]))
        assert np.isfinite(sent.setpoint).all()


@pytest.mark.parametrize(
    "name", ["position_min", "position_max", "velocity", "acceleration", "max_tracking_error"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "much", True, None])
def test_limits_that_are_not_numbers_are_refused(name, value):
    with pytest.raises(ValueError, match=name.removeprefix("position_")):
        make_limiter(limits(**{name: [0.1, value]}))


@pytest.mark.parametrize("axes", [("x",), ("x", "yaw", "z"), ("x", "z")])
def test_limits_of_other_axes_are_refused(axes):
    one = AxisColumns(*([value] * 3 for value in (-0.1, 0.1, 0.05, 0.7, 0.006)))
    with pytest.raises(ValueError, match="state every limit in the robot's file"):
        MotionLimiter(SPACE, DT, MotionLimits({"arm": one.by_axis(axes)}, 5))
    with pytest.raises(ValueError, match="the action has \\(arm\\)"):
        MotionLimiter(SPACE, DT, MotionLimits({"leg": one.by_axis(AXES)}, 5))


@pytest.mark.parametrize(
    "changes",
    [
        {"velocity": [0.0, 1.0]},
        {"max_tracking_error": [-1.0, 1.0]},
        {"position_min": [0.1, -0.5]},
        {"acceleration": [0.04, 12.0]},
    ],
)
def test_limits_that_cannot_work_are_refused(changes):
    with pytest.raises(ValueError):
        make_limiter(limits(**changes))


@pytest.mark.parametrize("position", [[np.nan, 0.0], [0.0], [np.inf, 0.0], [[0.0, 0.0]]])
def test_guard_does_not_start_without_a_position(position):
    with pytest.raises(ValueError, match="valid robot state"):
        make_limiter(limits()).start(np.array(position))


def test_guard_does_not_move_before_start():
    with pytest.raises(RuntimeError):
        make_limiter(limits()).limit(None, None)


@st.composite
def motions(draw):
    """A robot's start, its limits of yaw, and the requests and disturbances of its motion."""
    middle = draw(st.floats(-7.0, 7.0))
    half = draw(st.floats(0.05, math.pi))
    chosen = limits(position_min=[-0.1, middle - half], position_max=[0.1, middle + half])
    start = middle + draw(st.floats(-0.9, 0.9)) * min(half, 3.0)
    wishes = draw(st.lists(
        st.tuples(st.floats(-0.02, 0.02), st.floats(-0.09, 0.09)), min_size=1, max_size=40
    ))
    return chosen, start, wishes


@given(motions(), st.lists(st.integers(-3, 3), min_size=41, max_size=41))
def test_whole_turns_of_the_measured_yaw_change_nothing(motion, turns):
    chosen, start, wishes = motion
    limiters = [make_limiter(chosen) for _ in range(2)]
    places = [np.array([0.0, start + each * TURN]) for each in (0, turns[-1])]
    for limiter, place in zip(limiters, places, strict=True):
        limiter.start(place)
    setpoint = start
    for turn, (wish, behind) in zip(turns, wishes, strict=False):
        measured = setpoint + behind
        sent = [
            limiter.limit(np.array([0.0, wish]), np.array([0.0, measured + each * TURN]))
            for limiter, each in zip(limiters, (0, turn), strict=True)
        ]
        np.testing.assert_allclose(sent[0].setpoint, sent[1].setpoint, rtol=0, atol=1e-9)
        np.testing.assert_allclose(sent[0].increment, sent[1].increment, rtol=0, atol=1e-9)
        setpoint = sent[0].setpoint[1]


@pytest.mark.parametrize(
    ("low", "high", "start", "end"),
    [
        (2.6, 3.7, 3.1, 3.7),  # contains pi: through it, up to the limit
        (-3.7, -2.6, 3.1, -2.6),  # the same position, one turn less
        (-1.6, 1.6, 1.5, 1.6),
        (-math.pi, math.pi, 3.1, math.pi),  # half a turn is an edge
    ],
)
def test_the_turn_of_the_yaw_is_that_of_the_limits(low, high, start, end):
    limiter = make_limiter(limits(position_min=[-0.1, low], position_max=[0.1, high]))
    measured = np.array([0.0, start])
    limiter.start(measured)
    for _ in range(200):
        sent = limiter.limit(np.array([0.0, 0.017]), measured)
        assert abs(sent.increment[1]) <= limiter.max_increment[1] * (1 + ROUNDING)
        measured = np.array([0.0, math.remainder(sent.setpoint[1], TURN)])  # as read from a pose
    assert sent.setpoint[1] == pytest.approx(end, abs=1e-9)


def test_the_leash_reaches_across_half_a_turn():
    limiter = make_limiter(limits(position_min=[-0.1, 2.0], position_max=[0.1, 4.5]))
    blocked = np.array([0.0, -3.13])
    limiter.start(np.array([0.0, 3.12]))
    for _ in range(100):
        sent = limiter.limit(np.array([0.0, 0.017]), blocked)
    assert sent.setpoint[1] == pytest.approx(-3.13 + TURN + 0.1, abs=1e-9)


def test_more_than_a_turn_of_yaw_is_refused():
    with pytest.raises(ValueError, match="min and max of yaw are more than a full turn apart"):
        make_limiter(limits(position_min=[-0.1, -3.5], position_max=[0.1, 3.5]))


def test_a_full_turn_of_yaw_is_accepted_also_if_it_is_rounded_up():
    low, high = 1.8758330198129398, 8.159018326992527  # half a turn on both sides of 5.0174...
    assert high - low > TURN
    limiter = make_limiter(limits(position_min=[-0.1, low], position_max=[0.1, high]))
    limiter.start(np.array([0.0, 5.0]))
    sent = limiter.limit(np.array([0.0, 0.01]), np.array([0.0, 5.0]))
    assert sent.increment[1] > 0.0


def test_velocity_limit_bounds_the_network():
    scale = np.array([0.002, 0.02], np.float32)
    one = np.ones(1, np.float32)
    contract = Contract(
        "tiny", "", "", "", (), VectorSpec(("x",), ("m",), "tcp"),
        SPACE, Normaliser(scale, one, one, one, one),
    )
    bound = normalised_bound(limits().limits(SPACE), contract)
    assert bound.dtype == np.float32
    np.testing.assert_allclose(bound, [0.5, 0.85], rtol=1e-6)
