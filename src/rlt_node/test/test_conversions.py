"""Records survive the conversion to a message and back, bit for bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from rlt_core.action_space import ActionSpace, joints
from rlt_core.contract import CameraSpec, Contract, Normaliser, VectorSpec
from rlt_core.control.tool_pose import as_sent
from rlt_core.records import (
    ActionChunk,
    Commit,
    ControlStep,
    EpisodeKind,
    EpisodeState,
    Features,
    Outcome,
    Phase,
    Source,
    Transition,
)
from rlt_node import conversions

CHUNK, AXES, PROPRIO, TOKEN, DELAY, HORIZON = 4, 3, 2, 5, 1, 12
ONES = np.ones
CONTRACT = Contract(
    "tiny", "0", "0", "insert", (CameraSpec("wrist", 8, 6),),
    VectorSpec(("p", "q"), ("m", "N"), "tcp_wrench"),
    ActionSpace((joints("arm", ("x", "y", "z"), ("m",) * 3),)),
    Normaliser(
        ONES(AXES, np.float32), ONES(PROPRIO, np.float32), ONES(PROPRIO, np.float32),
        ONES(TOKEN, np.float32), ONES(TOKEN, np.float32),
    ),
    horizon=HORIZON, chunk=CHUNK, stride=2, planning_delay_ticks=DELAY,
)
TICK = st.integers(0, 2**63)
NUMBER = st.integers(0, 2**32 - 1)


def floats(*shape: int) -> st.SearchStrategy[Any]:
    return arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False))


def through(message: Any) -> Any:
    """The message after serialisation, as a subscriber gets it."""
    return deserialize_message(serialize_message(message), type(message))


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    for item in dataclasses.fields(left):
        one, other = getattr(left, item.name), getattr(right, item.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, item.name
            assert one.shape == other.shape, item.name
            assert one.tobytes() == other.tobytes(), item.name
        else:
            assert one == other, item.name


@given(st.builds(
    Features, episode=NUMBER, tick=TICK, token=floats(TOKEN), proprio=floats(PROPRIO),
    reference=floats(CHUNK, AXES),
))
def test_features(record):
    message = conversions.features_to_msg(record, CONTRACT, CONTRACT.hash())
    assert_same(conversions.features_from_msg(through(message)), record)


@given(st.builds(
    ActionChunk, episode=NUMBER, obs_tick=TICK, start_tick=TICK, actions=floats(CHUNK, AXES),
    tail=floats(HORIZON - DELAY - CHUNK, AXES), source=st.sampled_from(Source),
    policy_version=TICK, axis_names=st.just(CONTRACT.action.names), contract_hash=st.text("af"),
))
def test_chunk(record):
    message = through(conversions.chunk_to_msg(record))
    assert_same(conversions.chunk_from_msg(message), record)


def test_misshapen_chunk_stays_flat_for_the_gate():
    message = conversions.interfaces.ActionChunk(axis_names=["x", "y"], actions=[1.0, 2.0, 3.0])
    assert conversions.chunk_from_msg(message).actions.shape == (3,)


@given(st.builds(
    ControlStep, episode=NUMBER, tick=TICK, increment=floats(AXES),
    setpoint=arrays(np.float64, AXES, elements=st.floats(allow_nan=False)),
    source=st.sampled_from(Source), obs_tick=TICK, policy_version=TICK,
    limited=st.sampled_from([(), ("velocity",), ("tracking_error", "workspace")]),
    fault=st.sampled_from(["", "jump"]),
))
def test_control_step(record):
    message = through(conversions.step_to_msg(record, CONTRACT.action.names))
    assert_same(conversions.step_from_msg(message), record)


def test_unknown_source_of_a_later_version():
    message = conversions.interfaces.ControlStep(source=77)
    assert conversions.step_from_msg(message).source is Source.UNKNOWN


@given(st.builds(
    EpisodeState, run=st.text("ab-", max_size=9), episode=NUMBER,
    kind=st.sampled_from(EpisodeKind), phase=st.sampled_from(Phase),
    acting=st.sampled_from(Source), explore=st.booleans(), seed=TICK, tick=TICK, start_tick=TICK,
    end_tick=TICK, outcome=st.sampled_from(Outcome), label_source=st.sampled_from(["", "auto"]),
))
def test_episode_state(record):
    assert_same(conversions.episode_from_msg(through(conversions.episode_to_msg(record))), record)


@given(st.builds(
    Transition, run=st.just("run"), episode=NUMBER, step=NUMBER, seq=TICK,
    commit=st.sampled_from(Commit), kind=st.sampled_from(EpisodeKind), token=floats(TOKEN),
    proprio=floats(PROPRIO), committed=floats(DELAY, AXES), reference=floats(CHUNK, AXES),
    actions=floats(CHUNK, AXES), sources=arrays(np.uint8, CHUNK), valid=st.integers(0, CHUNK),
    rewards=floats(CHUNK), terminated=st.booleans(), next_token=floats(TOKEN),
    next_proprio=floats(PROPRIO), next_committed=floats(DELAY, AXES),
    next_reference=floats(CHUNK, AXES), outcome=st.sampled_from(Outcome), policy_version=TICK,
))
def test_transition(record):
    message = through(conversions.transition_to_msg(record, CONTRACT, CONTRACT.hash()))
    assert_same(conversions.transition_from_msg(message), record)


@given(st.integers(0, 2**40), st.sampled_from([20.0, 50.0, 125.0, 1000.0]))
def test_stamps_count_ticks(tick, rate):
    stamp = conversions.stamp_of_tick(tick % 10**9, rate)
    assert conversions.tick_of_stamp(stamp, rate) == tick % 10**9


@given(st.lists(st.floats(-3.1, 3.1), min_size=4, max_size=4))
def test_pose(axes):
    message = PoseStamped()
    conversions.fill_pose_down(message, axes)
    received = conversions.axes_of_pose(through(message))
    np.testing.assert_allclose(received, axes, rtol=0, atol=1e-15)
    assert received.tobytes() == as_sent(axes).tobytes()  # what the runner expects


def picture() -> np.ndarray:
    return np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def test_image():
    message = conversions.image_to_msg(picture(), conversions.stamp_of_tick(1, 50.0), "wrist")
    assert message.data.tobytes() == picture().tobytes()
    np.testing.assert_array_equal(conversions.image_from_msg(through(message)), picture())


def test_image_with_padded_rows():
    padded = np.zeros((6, 30), np.uint8)
    padded[:, :24] = picture().reshape(6, 24)
    message = Image(height=6, width=8, step=30, encoding="rgb8", data=padded.tobytes())
    np.testing.assert_array_equal(conversions.image_from_msg(message), picture())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"encoding": "bgr8"}, "is 'bgr8', expected rgb8"),
        ({"height": 7}, "disagree"),
        ({"step": 20}, "disagree"),
    ],
)
def test_bad_image(change, sentence):
    message = conversions.image_to_msg(picture(), conversions.stamp_of_tick(1, 50.0), "wrist")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match=sentence):
        conversions.image_from_msg(message)
