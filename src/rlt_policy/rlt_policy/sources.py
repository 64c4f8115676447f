"""The sources of an observation in real time: what of them belongs together, or why nothing does.

Cameras are slower than the robot's state, and what they send is old when it comes. So nothing is
taken because it is the newest: an observation has a moment, and takes of every source what was
measured nearest to it.

Stamps are compared with stamps, on the clock of the source that is behind least; receipts with the
monotonic clock. The distance of stamp and receipt in that one source's newest message leads from
one to the other, so that no clock is ever read and one that is set does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from rlt_core.contract import Contract
from rlt_core.rates import Spread
from rlt_core.settings import setting
from rlt_policy.faults import Fault
from rlt_policy.frozen import FrozenCamera, Vector
from rlt_policy.history import History, Sample

LONGEST_LATENCY_S = 1.0  # more is no latency, but a clock
IMAGES, STATES = 32, 1000  # kept of one camera and of one other source at most
LEEWAY = 0.5  # of max_skew_s: how far the robot's state may be behind the moment
ROOM = 1.2  # between what a source usually needs and the limit that is advised
KNOWN_S = 1.0  # after which a source's pace is known
SLOWER = 1.05  # beyond the rounding of a camera's rate


@dataclass(frozen=True)
class ObserverSettings:
    """When a source is silent, too late, too far from the others, or frozen."""

    max_age_s: float = setting(
        0.1, "real time: longest time since a source was heard, s", low=0.001
    )
    max_latency_s: float = setting(
        0.1, "real time: largest distance of a source's stamps from the robot state's, heard at "
        "the same time, s", low=0.001, high=LONGEST_LATENCY_S,
    )
    max_skew_s: float = setting(
        0.05, "real time: largest distance of what an observation takes from its moment, s",
        low=0.001,
    )
    frozen_frames: int = setting(
        10,
        "real time: identical images in a row from which on a camera may be frozen; 0: never",
        low=0,
    )
    frozen_motion: float = setting(
        0.001,
        "real time: motion of the tool (m) or of a joint (rad) that a camera must show",
        low=0.0,
    )


@dataclass(frozen=True)
class Moment:
    """What belongs together.

    Attributes:
        samples: The sample of each source.
        age: For how long the moment has been over, s.
        skew: Largest distance of a sample from the moment, s.
    """

    samples: Mapping[str, Sample]
    age: float
    skew: float


class Sources:
    """The last moments of each source, and what of them makes an observation.

    Args:
        names: All sources.
        cameras: Those of them that are cameras.
        settings: The limits.
    """

    def __init__(
        self, names: Iterable[str], cameras: Iterable[str], settings: ObserverSettings
    ) -> None:
        self._settings = settings
        self._cameras = {
            name: FrozenCamera(settings.frozen_frames, settings.frozen_motion) for name in cameras
        }
        back = settings.max_age_s + settings.max_latency_s + settings.max_skew_s
        self._histories = {
            name: History(back, IMAGES if name in self._cameras else STATES) for name in names
        }
        self._unknown = list(self._histories)  # whose pace is still to be known
        self._refused: tuple[Fault | None, float] = (None, -math.inf)

    def keep(self, source: str, sample: Sample, position: Vector | None) -> None:
        """Keep what a source sent.

        Args:
            source: Its name.
            sample: What it sent; of a camera, `data` of the message holds the image's bytes.
            position: Measured position of the robot (m, rad), None if it is unknown.
        """
        self._histories[source].add(sample)
        if source in self._cameras:
            self._cameras[source].see(sample.message.data, position)

    def refuse(self, fault: Fault, now: float) -> None:
        """Note a message that could not be taken in: while such come, nothing makes a moment."""
        self._refused = (fault, now)

    def newest(self, source: str) -> Any:
        """What came last of a source.

        Raises:
            LookupError: If nothing has come.
        """
        return self._histories[source].newest.message

    def ages(self, now: float) -> Mapping[str, float]:
        """Seconds since the receipt of each source that has sent something."""
        return {source: now - sample.received for source, sample in self._newest().items()}

    def latencies(self) -> Mapping[str, float]:
        """How far each source's newest stamp was behind as it came, s; of those with stamps."""
        newest, offset = self._newest(), self._offset()
        return {
            source: sample.received - _measured(sample, offset)
            for source, sample in newest.items() if sample.stamp
        }

    def moment(self, now: float) -> Moment | Fault:
        """What makes an observation now, or why nothing does."""
        fault, refused = self._refused
        if fault is not None and now - refused <= self._settings.max_age_s:
            return fault
        return self._silent(now) or self._frozen() or self._out_of_step() or self._paired(now)

    def remarks(self, contract: Contract) -> list[str]:
        """What is worth saying about sources whose pace became known just now, once each."""
        known = [name for name in self._unknown if self._histories[name].known_s >= KNOWN_S]
        self._unknown = [name for name in self._unknown if name not in known]
        said = [_unstamped(name) for name in known if not self._histories[name].newest.stamp]
        due = contract.stride * contract.dt
        for name in self._cameras:
            period = self._histories[name].intervals.p50
            if name in known and period > SLOWER * due:
                said.append(_slow(name, period, contract))
        return said

    # ---- Why nothing does ---------------------------------------------------------------------

    def _silent(self, now: float) -> Fault | None:
        """A source that does not come, or not often enough."""
        ages, limit = self.ages(now), self._settings.max_age_s
        for source, history in self._histories.items():
            if source not in ages:
                return Fault(
                    "missing", source,
                    f"nothing has come of {source}: start that driver, or correct its name or "
                    "remap its topic",
                )
            if ages[source] > limit:
                needed = _needed(history.intervals) if history.known_s else 0.0
                cure = "check its driver and cable"
                if needed > limit:
                    cure = (
                        f"it comes only every {history.intervals.p50:.3f} s: make it faster or "
                        f"set max_age_s to {needed:g}"
                    )
                return Fault(
                    "age", source,
                    f"{source} is {ages[source]:.2f} s old (max_age_s {limit:g}): {cure}",
                )
        return None

    def _frozen(self) -> Fault | None:
        """A camera that repeats its image."""
        for source, camera in self._cameras.items():
            if camera.frozen:
                return Fault(
                    "frozen", source,
                    f"the last {camera.count} images on {source} are identical although the robot "
                    f"has moved by more than frozen_motion {self._settings.frozen_motion:g}: the "
                    "camera is frozen, restart its driver",
                )
        return None

    def _out_of_step(self) -> Fault | None:
        """A source that is too late, or whose clock is another; measured by the robot's state."""
        latencies, limit = self.latencies(), self._settings.max_latency_s
        robot = {source: late for source, late in latencies.items() if source not in self._cameras}
        base = robot or latencies
        if not base:
            return None
        middle = median_low(base.values())
        behind = {source: late - middle for source, late in latencies.items()}
        for source, late in behind.items():
            self._histories[source].latencies.add(abs(late))
        odd = max(behind, key=lambda source: abs(behind[source]))
        if abs(behind[odd]) <= limit:
            return None
        other = next(source for source in base if base[source] == middle)
        return Fault("latency", odd, self._late(odd, behind[odd], other))

    def _late(self, source: str, late: float, other: str) -> str:
        """Say by how much the stamps of two sources differ, and what to do."""
        limit, history = self._settings.max_latency_s, self._histories[source]
        where = "behind" if late > 0.0 else "ahead of"
        told = f"{source} is {abs(late):.3f} s {where} {other}, more than max_latency_s {limit:g}"
        if history.stands:
            return f"{told}, since its stamp stands still while it comes: mend its driver"
        slow = source if late > 0.0 else other
        cure = f"synchronise their clocks or speed up the driver of {slow}"
        needed = _needed(history.latencies)
        if history.latencies.p50 > limit and needed <= LONGEST_LATENCY_S:
            cure += f", or set max_latency_s to {needed:g} if it is always so late"
        return f"{told}: {cure}"

    # ---- What does ----------------------------------------------------------------------------

    def _paired(self, now: float) -> Moment | Fault:
        """Take of each source what was measured nearest to the moment.

        That is when the newest image was taken of the camera whose newest is the oldest, or a
        little more than the robot's state has come up to, if that is behind.
        """
        limit, offset = self._settings.max_skew_s, self._offset()
        moment = min(
            _measured(sample, offset) + (0.0 if source in self._cameras else LEEWAY * limit)
            for source, sample in self._newest().items()
        )
        samples = {
            source: history.nearest(moment, lambda sample: _measured(sample, offset))
            for source, history in self._histories.items()
        }
        skews = {s: abs(_measured(sample, offset) - moment) for s, sample in samples.items()}
        worst = max(skews, key=skews.__getitem__)
        if skews[worst] <= limit:
            return Moment(samples, now - moment, skews[worst])
        intervals = self._histories[worst].intervals
        needed = _needed(intervals, 0.5)
        cure = f", or set max_skew_s to {needed:g}" if needed > limit else ""
        return Fault(
            "skew", worst,
            f"nothing of {worst} was measured within max_skew_s {limit:g} of the observation's "
            f"moment, the nearest {skews[worst]:.3f} s from it; it comes every "
            f"{intervals.p50:.3f} s: make it faster or more even{cure}",
        )

    def _newest(self) -> dict[str, Sample]:
        """The newest sample of each source that has sent something."""
        return {
            source: history.newest for source, history in self._histories.items() if history.count
        }

    def _offset(self) -> float:
        """From the stamps of the source that is behind least to the monotonic clock, s."""
        newest = self._newest().values()
        return min((sample.received - sample.stamp for sample in newest if sample.stamp), default=0)


def _measured(sample: Sample, offset: float) -> float:
    """When a sample was measured, monotonic s; without a stamp, when it came."""
    return sample.stamp + offset if sample.stamp else sample.received


def _needed(values: Spread, share: float = 1.0) -> float:
    """The limit, s, that a source's usual values would keep, times `share`."""
    return math.ceil(1e2 * ROOM * share * values.p95) / 1e2


def _unstamped(source: str) -> str:
    """What is said of a source without stamps."""
    return (
        f"{source} carries no stamps: it counts as measured when it comes, and its latency is "
        "unknown: let its driver set header.stamp"
    )


def _slow(camera: str, period: float, contract: Contract) -> str:
    """What is said of a camera that is too slow for the stride."""
    due = contract.stride * contract.dt
    fitting = [
        stride for stride in range(contract.stride + 1, contract.chunk + 1)
        if contract.chunk % stride == 0 and stride * contract.dt * SLOWER >= period
    ]
    cure = f", or give the model's contract stride {fitting[0]}" if fitting else ""
    return (
        f"{camera} comes every {period:.3f} s, but an observation is due every {due:g} s (stride "
        f"{contract.stride}): some show the image of the one before; set the camera to "
        f"{1.0 / due:.0f} Hz or more{cure}"
    )
