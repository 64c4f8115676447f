"""Selects the proposed increment of a tick: chunks by start tick, with late ones bridged."""

from __future__ import annotations

from dataclasses import dataclass

from rlt_core.contract import Contract
from rlt_core.control.rejection import Rejection
from rlt_core.records import ActionChunk, EpisodeState, FloatArray, Source
from rlt_core.settings import ChunkSettings


@dataclass(frozen=True)
class Planned:
    """What the policy proposes for one tick.

    Attributes:
        increment: float32 (A,), SI; None if there is nothing to execute.
        source: BASE, ACTOR or HOLD.
        obs_tick: Observation behind the chunk, 0 if none.
        policy_version: Version of the actor's weights behind it, 0 for other sources.
        stretched: Whether it comes from the tail that bridges a late chunk.
    """

    increment: FloatArray | None
    source: Source
    obs_tick: int = 0
    policy_version: int = 0
    stretched: bool = False


NOTHING = Planned(None, Source.HOLD)


class ChunkScheduler:
    """Queues the chunks of one episode and returns the increment of each tick.

    A chunk acts from its start tick until the next chunk's start tick. If the next chunk is late,
    the reference tail of the last one continues for at most `max_stretch_ticks`, as the base
    policy's action; after that there is no action. Past ticks are skipped, never caught up.
    """

    def __init__(self, contract: Contract, settings: ChunkSettings) -> None:
        self._chunk = contract.chunk
        self._delay = contract.planning_delay_ticks
        self._stretch = settings.max_stretch_ticks
        self._queue: list[ActionChunk] = []
        self._voids: list[int] = []
        self._episode = 0
        self._first_tick = 0
        self._newest_obs = -1
        self._answered = -1
        self._not_before = 0
        self._served = 0

    def start(self, episode: EpisodeState) -> None:
        """Clear the queue and expect the chunks of `episode` from its first tick on."""
        self._episode = episode.episode
        self._first_tick = episode.start_tick
        self._queue.clear()
        self._voids.clear()
        self._newest_obs = -1
        self._answered = -1
        self._not_before = episode.start_tick
        self._served = episode.start_tick

    def offer(self, chunk: ActionChunk, tick: int) -> Rejection | None:
        """Queue a chunk that passed input validation.

        Args:
            chunk: The chunk.
            tick: The next tick to be executed.

        Returns:
            Why the chunk is rejected: it belongs to another episode, is off the chunk grid,
            answers an observation that is repeated, older or in the future, or has expired; None
            if it is queued, or was flushed before it arrived.
        """
        misplaced = self._misplaced(chunk, tick)
        if misplaced is not None:
            return misplaced
        self._newest_obs = chunk.obs_tick
        self._answered = max(self._answered, chunk.start_tick)
        if chunk.obs_tick < self._not_before:
            return None
        if chunk.start_tick + self._chunk <= tick:
            return Rejection(
                "late",
                f"action chunk for tick {chunk.start_tick} arrived at tick {tick}, after its "
                f"{self._chunk} ticks: raise planning_delay_ticks or speed up the policy",
            )
        self._queue.append(chunk)
        self._served = max(self._served, chunk.start_tick)
        return None

    def void(self, chunk: ActionChunk, tick: int) -> None:
        """Note that a chunk was rejected: from its start tick on there is no action.

        A chunk that does not belong in the episode changes nothing, as in `offer`.
        """
        if self._misplaced(chunk, tick) is None:
            self._voids.append(chunk.start_tick)
            self._answered = max(self._answered, chunk.start_tick)
            self._served = max(self._served, chunk.start_tick)

    def _misplaced(self, chunk: ActionChunk, tick: int) -> Rejection | None:
        """Why a chunk of this episode and start is not expected at `tick`; None if it is."""
        what = f"action chunk for tick {chunk.start_tick}"
        if chunk.episode != self._episode:
            return Rejection(
                "episode",
                f"{what} belongs to episode {chunk.episode}, not {self._episode}: dropped",
            )
        shifted = chunk.start_tick != chunk.obs_tick + self._delay
        if shifted or chunk.obs_tick < self._first_tick or chunk.obs_tick % self._chunk:
            return Rejection(
                "sequence",
                f"{what} answers tick {chunk.obs_tick}; expected a start {self._delay} tick(s) "
                f"after an observation at a multiple of {self._chunk} from tick "
                f"{self._first_tick} on: start policy and chunk_controller with the same model "
                "and planning_delay_ticks",
            )
        if chunk.obs_tick > tick:
            return Rejection(
                "sequence",
                f"{what} answers tick {chunk.obs_tick}, which is in the future at tick {tick}: "
                "dropped; check which node publishes action_chunk",
            )
        if chunk.obs_tick <= self._newest_obs:
            return Rejection(
                "sequence",
                f"{what} answers tick {chunk.obs_tick}, but tick {self._newest_obs} was already "
                "answered: dropped",
            )
        return None

    def flush(self, before: int) -> None:
        """Drop all chunks, queued or future, whose observation is older than tick `before`."""
        self._not_before = max(self._not_before, before)
        self._queue = [chunk for chunk in self._queue if chunk.obs_tick >= before]

    def silence(self, tick: int) -> Rejection | None:
        """Why a policy that proposes nothing for `tick` counts as silent; None within the limit.

        The limit is the planning delay, one chunk and the bridging of a late chunk together.
        """
        since = max(self._served, self._not_before)
        if tick - since < self._delay + self._chunk + self._stretch:
            return None
        return Rejection(
            "silent",
            f"no action chunk arrived in time for tick {tick}, the last was for tick "
            f"{self._served}: the controller holds until one arrives; check that the policy is "
            "active and fast enough",
        )

    def ready(self, tick: int) -> bool:
        """Whether the policy has answered for every chunk that starts at or before `tick`."""
        elapsed = tick - self._first_tick - self._delay
        if elapsed < 0:
            return True
        return self._answered >= tick - elapsed % self._chunk

    def action(self, tick: int) -> Planned:
        """What the policy proposes for `tick`; drops earlier chunks."""
        while len(self._queue) > 1 and self._queue[1].start_tick <= tick:
            self._queue.pop(0)
        if not self._queue or self._queue[0].start_tick > tick:
            return NOTHING
        chunk = self._queue[0]
        if any(chunk.start_tick < void <= tick for void in self._voids):
            return NOTHING
        row = tick - chunk.start_tick
        if row < self._chunk:
            return Planned(chunk.actions[row], chunk.source, chunk.obs_tick, chunk.policy_version)
        row -= self._chunk
        if row < min(self._stretch, len(chunk.tail)):
            return Planned(chunk.tail[row], Source.BASE, chunk.obs_tick, stretched=True)
        return NOTHING
