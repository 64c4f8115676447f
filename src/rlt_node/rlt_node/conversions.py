"""Records to messages and back. Arrays are copied as buffers, never element by element."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from rlt_core.contract import Contract
from rlt_core.control.rotations import Quaternion
from rlt_core.control.tool_pose import tool_quaternion, tool_yaw
from rlt_core.records import (
    ActionChunk,
    Commit,
    ControlStep,
    EpisodeKind,
    EpisodeState,
    Features,
    FloatArray,
    HumanInput,
    ImageArray,
    Observation,
    Outcome,
    Phase,
    Source,
    Transition,
)
from rlt_interfaces import msg as interfaces

NANOSECONDS = 1_000_000_000


def serialised(message: Any) -> bytes:
    """A message as it crosses the wire: CDR, with its header."""
    return bytes(serialize_message(message))


# ---- Time -------------------------------------------------------------------------------------


def stamp_of_tick(tick: int, rate_hz: float) -> Time:
    """Simulated time of a control tick."""
    return _stamp(round(tick * NANOSECONDS / rate_hz))


def tick_of_stamp(stamp: Time, rate_hz: float) -> int:
    """Inverse of `stamp_of_tick`."""
    return round((stamp.sec * NANOSECONDS + stamp.nanosec) * rate_hz / NANOSECONDS)


def seconds(stamp: Time) -> float:
    """A stamp in seconds."""
    return float(stamp.sec + stamp.nanosec / NANOSECONDS)


def stamp_of(seconds: float) -> Time:
    """Inverse of `seconds`, to the microsecond that a float resolves."""
    return _stamp(round(seconds * NANOSECONDS))


def _stamp(nanoseconds: int) -> Time:
    whole, rest = divmod(nanoseconds, NANOSECONDS)
    return Time(sec=whole, nanosec=rest)


# ---- Arrays and images ------------------------------------------------------------------------


def floats(values: NDArray[Any]) -> array[float]:
    """An array as the value of a float32[] field, row-major."""
    return array("f", np.ascontiguousarray(values, np.float32).tobytes())


def doubles(values: NDArray[Any]) -> array[float]:
    """An array as the value of a float64[] field, row-major."""
    return array("d", np.ascontiguousarray(values, np.float64).tobytes())


def octets(values: bytes | NDArray[np.uint8]) -> array[int]:
    """Bytes as the value of a uint8[] field."""
    filled = array("B")
    filled.frombytes(memoryview(values).cast("B"))
    return filled


def vector(values: Any) -> FloatArray:
    """A float32[] field as float32 (n,)."""
    return np.asarray(values, np.float32)


def matrix(values: Any, columns: int) -> FloatArray:
    """A row-major float32[] field as float32 (rows, columns).

    Raises:
        ValueError: If the length is not a multiple of the columns.
    """
    if columns < 1 or len(values) % columns:
        raise ValueError(f"{len(values)} values do not fill rows of {columns}")
    return vector(values).reshape(-1, columns)


def image_to_msg(image: ImageArray, stamp: Time, frame: str) -> Image:
    """An RGB image, uint8 (height, width, 3), as a message."""
    message = Image()
    message.header.stamp = stamp
    message.header.frame_id = frame
    message.height, message.width = image.shape[:2]
    message.encoding = "rgb8"
    message.step = image.shape[1] * 3
    message.data = octets(np.ascontiguousarray(image))
    return message


def image_from_msg(message: Image) -> ImageArray:
    """An rgb8 message, as in every observation, as uint8 (height, width, 3); a view.

    Raises:
        ValueError: If the encoding is another, or data and header disagree.
    """
    if message.encoding != "rgb8":
        raise ValueError(
            f"image encoding is {message.encoding!r}, expected rgb8: publish observations as the "
            "observer does"
        )
    rows = image_rows(message, 3 * message.width, message.height)
    return rows.reshape(message.height, message.width, 3)


def image_rows(message: Image, row_bytes: int, count: int) -> NDArray[np.uint8]:
    """The rows of an image without what pads them, uint8 (count, row_bytes); a view.

    Args:
        message: The image.
        row_bytes: Bytes of a row that belong to pixels.
        count: Number of rows, those of separate colours included.

    Raises:
        ValueError: If data and header disagree.
    """
    rows = np.frombuffer(message.data, np.uint8)
    if not rows.size or rows.size != count * message.step or message.step < row_bytes:
        raise ValueError(
            f"image of {message.width} x {message.height} in {message.encoding} with step "
            f"{message.step} holds {rows.size} bytes, expected {count} rows of {row_bytes} or "
            "more: the driver's header and data disagree, so correct or update the driver"
        )
    return rows.reshape(count, message.step)[:, :row_bytes]


# ---- Tool poses -------------------------------------------------------------------------------


def fill_pose(
    message: PoseStamped, place: Sequence[float] | NDArray[np.float64], orientation: Quaternion
) -> None:
    """Write a tool's place (3,), m, and orientation (x, y, z, w) into a pose."""
    position, turn = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = (float(value) for value in place)
    turn.x, turn.y, turn.z, turn.w = orientation


def fill_pose_down(message: PoseStamped, axes: Sequence[float] | NDArray[np.float64]) -> None:
    """Write the axes (x, y, z, yaw) into a pose, tool pointing down."""
    fill_pose(message, axes[:3], tool_quaternion(float(axes[3])))


def axes_of_pose(message: PoseStamped) -> NDArray[np.float64]:
    """The axes (x, y, z, yaw) of a pose, float64 (4,)."""
    return np.array([*place_of_pose(message), tool_yaw(*orientation_of_pose(message))])


def place_of_pose(message: PoseStamped) -> tuple[float, float, float]:
    """The place of a pose: x, y, z, m."""
    place = message.pose.position
    return place.x, place.y, place.z


def orientation_of_pose(message: PoseStamped) -> Quaternion:
    """The orientation of a pose as a quaternion (x, y, z, w)."""
    turn = message.pose.orientation
    return turn.x, turn.y, turn.z, turn.w


# ---- Records ----------------------------------------------------------------------------------


def observation_from_msg(message: interfaces.Observation) -> Observation:
    """What the policy sees; images are views of the message."""
    return Observation(
        tick=message.tick,
        images={
            name: image_from_msg(image)
            for name, image in zip(message.camera_names, message.images, strict=True)
        },
        proprio=vector(message.proprio),
        stamps={
            name: seconds(stamp)
            for name, stamp in zip(message.source_names, message.source_stamps, strict=True)
        },
    )


def features_to_msg(record: Features, contract: Contract, digest: str) -> interfaces.Features:
    """State and reference of a stride tick; `digest` is the contract's hash."""
    return interfaces.Features(
        episode=record.episode,
        tick=record.tick,
        token=floats(record.token),
        proprio_names=contract.proprio.names,
        proprio=floats(record.proprio),
        axis_names=contract.action.names,
        chunk=contract.chunk,
        reference=floats(record.reference),
        contract_hash=digest,
    )


def features_from_msg(message: interfaces.Features) -> Features:
    """Inverse of `features_to_msg`."""
    return Features(
        episode=message.episode,
        tick=message.tick,
        token=vector(message.token),
        proprio=vector(message.proprio),
        reference=matrix(message.reference, len(message.axis_names)),
    )


def chunk_to_msg(record: ActionChunk) -> interfaces.ActionChunk:
    """Increments for the coming ticks."""
    return interfaces.ActionChunk(
        episode=record.episode,
        obs_tick=record.obs_tick,
        start_tick=record.start_tick,
        axis_names=record.axis_names,
        chunk=len(record.actions),
        actions=floats(record.actions),
        tail=floats(record.tail),
        source=int(record.source),
        policy_version=record.policy_version,
        contract_hash=record.contract_hash,
    )


def chunk_from_msg(message: interfaces.ActionChunk) -> ActionChunk:
    """Inverse of `chunk_to_msg`; a malformed chunk stays flat, for input validation to reject."""
    axes = len(message.axis_names)
    full_rows = axes > 0 and not len(message.actions) % axes and not len(message.tail) % axes
    shape = (-1, axes) if full_rows else (-1,)
    return ActionChunk(
        episode=message.episode,
        obs_tick=message.obs_tick,
        start_tick=message.start_tick,
        actions=vector(message.actions).reshape(shape),
        tail=vector(message.tail).reshape(shape),
        source=_source(message.source),
        policy_version=message.policy_version,
        axis_names=tuple(message.axis_names),
        contract_hash=message.contract_hash,
    )


def policy_info_to_msg(
    contract: Contract, digest: str, version: int
) -> interfaces.PolicyInfo:
    """Describes a policy of this contract and its weights; the caller sets the latency."""
    return interfaces.PolicyInfo(
        vla_backend=contract.vla_backend,
        contract_hash=digest,
        policy_version=version,
        axis_names=contract.action.names,
        axis_units=contract.action.units,
        horizon=contract.horizon,
        chunk=contract.chunk,
        stride=contract.stride,
        rate_hz=contract.rate_hz,
        planning_delay_ticks=contract.planning_delay_ticks,
    )


def human_from_msg(message: interfaces.HumanCommand, received: float) -> HumanInput:
    """A person's command, received at this monotonic time (real time) or tick (lockstep)."""
    return HumanInput(
        sequence=message.sequence,
        takeover=message.takeover,
        increment=vector(message.increment),
        axis_names=tuple(message.axis_names),
        received=received,
        contract_hash=message.contract_hash,
        fault=message.fault,
    )


def step_to_msg(record: ControlStep, axis_names: Sequence[str]) -> interfaces.ControlStep:
    """What was sent at one tick."""
    return interfaces.ControlStep(
        episode=record.episode,
        tick=record.tick,
        axis_names=axis_names,
        increment=floats(record.increment),
        setpoint=doubles(record.setpoint),
        source=int(record.source),
        obs_tick=record.obs_tick,
        policy_version=record.policy_version,
        limited=record.limited,
        fault=record.fault,
    )


def step_from_msg(message: interfaces.ControlStep) -> ControlStep:
    """Inverse of `step_to_msg`."""
    return ControlStep(
        episode=message.episode,
        tick=message.tick,
        increment=vector(message.increment),
        setpoint=np.asarray(message.setpoint, np.float64),
        source=_source(message.source),
        obs_tick=message.obs_tick,
        policy_version=message.policy_version,
        limited=tuple(message.limited),
        fault=message.fault,
    )


def episode_id(state: EpisodeState) -> str:
    """The episode_id of LabelSuccess and Discard."""
    return f"{state.run}/{state.episode}"


def episode_to_msg(record: EpisodeState) -> interfaces.EpisodeState:
    """State of the current episode."""
    return interfaces.EpisodeState(
        run=record.run,
        episode=record.episode,
        episode_id=episode_id(record),
        kind=int(record.kind),
        phase=int(record.phase),
        acting=int(record.acting),
        explore=record.explore,
        seed=record.seed,
        tick=record.tick,
        start_tick=record.start_tick,
        end_tick=record.end_tick,
        outcome=int(record.outcome),
        label_source=record.label_source,
        critical=record.critical,
        critical_tick=record.critical_tick,
    )


def episode_from_msg(message: interfaces.EpisodeState) -> EpisodeState:
    """Inverse of `episode_to_msg`."""
    return EpisodeState(
        run=message.run,
        episode=message.episode,
        kind=EpisodeKind(message.kind),
        phase=Phase(message.phase),
        acting=Source(message.acting),
        explore=message.explore,
        seed=message.seed,
        tick=message.tick,
        start_tick=message.start_tick,
        end_tick=message.end_tick,
        outcome=Outcome(message.outcome),
        label_source=message.label_source,
        critical=message.critical,
        critical_tick=message.critical_tick,
    )


def transition_to_msg(
    record: Transition, contract: Contract, digest: str
) -> interfaces.Transition:
    """One commit of the log; `digest` is the contract's hash."""
    return interfaces.Transition(
        run=record.run,
        episode=record.episode,
        step=record.step,
        seq=record.seq,
        commit=int(record.commit),
        kind=int(record.kind),
        contract_hash=digest,
        chunk=contract.chunk,
        delay=contract.planning_delay_ticks,
        axis_names=contract.action.names,
        proprio_names=contract.proprio.names,
        token=floats(record.token),
        proprio=floats(record.proprio),
        committed=floats(record.committed),
        reference=floats(record.reference),
        actions=floats(record.actions),
        sources=octets(record.sources),
        limited=record.limited.tolist(),
        valid=record.valid,
        rewards=floats(record.rewards),
        terminated=record.terminated,
        next_token=floats(record.next_token),
        next_proprio=floats(record.next_proprio),
        next_committed=floats(record.next_committed),
        next_reference=floats(record.next_reference),
        outcome=int(record.outcome),
        policy_version=record.policy_version,
    )


def transition_from_msg(message: interfaces.Transition) -> Transition:
    """Inverse of `transition_to_msg`."""
    columns = len(message.axis_names)
    return Transition(
        run=message.run,
        episode=message.episode,
        step=message.step,
        seq=message.seq,
        commit=Commit(message.commit),
        kind=EpisodeKind(message.kind),
        token=vector(message.token),
        proprio=vector(message.proprio),
        committed=matrix(message.committed, columns),
        reference=matrix(message.reference, columns),
        actions=matrix(message.actions, columns),
        sources=np.asarray(message.sources, np.uint8),
        valid=message.valid,
        rewards=vector(message.rewards),
        terminated=message.terminated,
        next_token=vector(message.next_token),
        next_proprio=vector(message.next_proprio),
        next_committed=matrix(message.next_committed, columns),
        next_reference=matrix(message.next_reference, columns),
        outcome=Outcome(message.outcome),
        policy_version=message.policy_version,
        limited=np.asarray(message.limited, np.bool_),
    )


def _source(value: int) -> Source:
    """A source by number; UNKNOWN for numbers of a later version."""
    return Source(value) if value in Source._value2member_map_ else Source.UNKNOWN
