"""The sources of an observation in real time: which samples belong together, or why none do.

Cameras are slower than the robot's state, and their images are old when they arrive. So no sample
is taken just because it is the newest: an observation has a moment, and takes from every source the
sample that was measured nearest to it.

Stamps are compared with stamps, on the clock of the source with the smallest delay; receipt times
with the monotonic clock. The difference of stamp and receipt time in that source's newest message
converts one into the other, so no clock is ever read and setting one does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from rlt_core.contract import Contract
from rlt_core.settings import setting
from rlt_node.fault_log import Fault
from rlt_node.rates import Spread
from rlt_policy.observer.frozen_camera import FrozenCamera, Vector
from rlt_policy.observer.source_history import History, Sample

LONGEST_LATENCY_S = 1.0  # a larger value is a clock offset, not a latency
IMAGES, STATES = 32, 1000  # most samples kept of a camera, of any other source
LEEWAY = 0.5  # part of max_skew_s by which the robot's state may be behind the moment
ROOM = 1.2  # margin of a suggested limit over what the source usually needs
KNOWN_S = 1.0  # after which a source's rate is known
SLOWER = 1.05  # margin for the rounding of a camera's rate


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
    """The samples that belong together.

    Attributes:
        samples: The sample of each source.
        age: Time since the moment, s.
        skew: Largest distance of a sample from the moment, s.
    """

    samples: Mapping[str, Sample]
    age: float
    skew: float


class Sources:
    """The recent samples of each source, and those that make an observation."""

    def __init__(
        self, names: Iterable[str], cameras: Iterable[str], settings: ObserverSettings
    ) -> None:
        """Set up.

        Args:
            names: All sources.
            cameras: Those of them that are cameras.
            settings: The limits.
        """
        self._settings = settings
        self._cameras = {
            name: FrozenCamera(settings.frozen_frames, settings.frozen_motion) for name in cameras
        }
        back = settings.max_age_s + settings.max_latency_s + settings.max_skew_s
        self._histories = {
            name: History(back, IMAGES if name in self._cameras else STATES) for name in names
        }
        self._unknown = list(self._histories)  # whose rate is not known yet
        self._rejected: tuple[Fault | None, float] = (None, -math.inf)

    def keep(self, source: str, sample: Sample, position: Vector | None) -> None:
        """Keep a sample of a source.

        Args:
            source: Its name.
            sample: The sample; for a camera, `data` of the message holds the image's bytes.
            position: Measured position of the robot (m, rad), None if it is unknown.
        """
        self._histories[source].add(sample)
        if source in self._cameras:
            self._cameras[source].see(sample.message.data, position)

    def reject(self, fault: Fault, now: float) -> None:
        """Note a rejected message: while such messages arrive, there is no observation."""
        self._rejected = (fault, now)

    def newest(self, source: str) -> Any:
        """The newest message of a source.

        Raises:
            LookupError: If it has sent nothing.
        """
        return self._histories[source].newest.message

    def ages(self, now: float) -> Mapping[str, float]:
        """Seconds since the last receipt, of each source that has sent something."""
        return {source: now - sample.received for source, sample in self._newest().items()}

    def latencies(self) -> Mapping[str, float]:
        """How far each source's newest stamp was behind on arrival, s; of those with stamps."""
        newest, offset = self._newest(), self._offset()
        return {
            source: sample.received - _measured(sample, offset)
            for source, sample in newest.items() if sample.stamp
        }

    def moment(self, now: float) -> Moment | Fault:
        """What makes an observation now, or why there is none."""
        fault, rejected = self._rejected
        if fault is not None and now - rejected <= self._settings.max_age_s:
            return fault
        return self._silent(now) or self._frozen() or self._out_of_step() or self._paired(now)

    def remarks(self, contract: Contract) -> list[str]:
        """Remarks on the sources whose rate has just become known, once each."""
        known = [name for name in self._unknown if self._histories[name].known_s >= KNOWN_S]
        self._unknown = [name for name in self._unknown if name not in known]
        found = [_unstamped(name) for name in known if not self._histories[name].newest.stamp]
        due = contract.stride * contract.dt
        for name in self._cameras:
            period = self._histories[name].intervals.p50
            if name in known and period > SLOWER * due:
                found.append(_slow(name, period, contract))
        return found

    # ---- Why there is none --------------------------------------------------------------------

    def _silent(self, now: float) -> Fault | None:
        """A source that sends nothing, or not often enough."""
        ages, limit = self.ages(now), self._settings.max_age_s
        for source, history in self._histories.items():
            if source not in ages:
                return Fault(
                    "missing", source,
                    f"nothing received from {source}: start that driver, or correct its name or "
                    "remap its topic",
                )
            if ages[source] > limit:
                needed = _needed(history.intervals) if history.known_s else 0.0
                remedy = "check its driver and cable"
                if needed > limit:
                    remedy = (
                        f"it arrives only every {history.intervals.p50:.3f} s: make it faster or "
                        f"set max_age_s to {needed:g}"
                    )
                return Fault(
                    "age", source,
                    f"{source} is {ages[source]:.2f} s old (max_age_s {limit:g}): {remedy}",
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
        """A source that is too late or on another clock, compared with the robot's state."""
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
        """Describe by how much the stamps of two sources differ, and what to do."""
        limit, history = self._settings.max_latency_s, self._histories[source]
        where = "behind" if late > 0.0 else "ahead of"
        text = f"{source} is {abs(late):.3f} s {where} {other}, more than max_latency_s {limit:g}"
        if history.stands:
            return f"{text}, since its stamp does not change between messages: fix its driver"
        slow = source if late > 0.0 else other
        remedy = f"synchronise their clocks or speed up the driver of {slow}"
        needed = _needed(history.latencies)
        if history.latencies.p50 > limit and needed <= LONGEST_LATENCY_S:
            remedy += f", or set max_latency_s to {needed:g} if it is always this late"
        return f"{text}: {remedy}"

    # ---- What makes one -----------------------------------------------------------------------

    def _paired(self, now: float) -> Moment | Fault:
        """Take from each source the sample that was measured nearest to the moment.

        The moment is the oldest among the cameras' newest images or, if the robot's state is
        behind that, a little after its newest sample.
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
        remedy = f", or set max_skew_s to {needed:g}" if needed > limit else ""
        return Fault(
            "skew", worst,
            f"no sample of {worst} was measured within max_skew_s {limit:g} of the observation's "
            f"moment, the nearest {skews[worst]:.3f} s from it; it arrives every "
            f"{intervals.p50:.3f} s: make it faster or more even{remedy}",
        )

    def _newest(self) -> dict[str, Sample]:
        """The newest sample of each source that has sent something."""
        return {
            source: history.newest for source, history in self._histories.items() if history.count
        }

    def _offset(self) -> float:
        """Offset from the stamps of the source with the smallest delay to monotonic time, s."""
        newest = self._newest().values()
        return min((sample.received - sample.stamp for sample in newest if sample.stamp), default=0)


def _measured(sample: Sample, offset: float) -> float:
    """When a sample was measured, monotonic s; without a stamp, when it arrived."""
    return sample.stamp + offset if sample.stamp else sample.received


def _needed(values: Spread, share: float = 1.0) -> float:
    """The limit, s, that a source's usual values would keep, times `share`."""
    return math.ceil(1e2 * ROOM * share * values.p95) / 1e2


def _unstamped(source: str) -> str:
    """The remark on a source without stamps."""
    return (
        f"{source} carries no stamps: it counts as measured when it arrives, and its latency is "
        "unknown: have its driver set header.stamp"
    )


def _slow(camera: str, period: float, contract: Contract) -> str:
    """The remark on a camera that is too slow for the stride."""
    due = contract.stride * contract.dt
    fitting = [
        stride for stride in range(contract.stride + 1, contract.chunk + 1)
        if contract.chunk % stride == 0 and stride * contract.dt * SLOWER >= period
    ]
    remedy = f", or give the model's contract stride {fitting[0]}" if fitting else ""
    return (
        f"{camera} arrives every {period:.3f} s, but an observation is due every {due:g} s (stride "
        f"{contract.stride}): some repeat the previous image; set the camera to "
        f"{1.0 / due:.0f} Hz or more{remedy}"
    )
