"""One step of the policy: from an observation to features and, at a chunk boundary, a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rlt_core.contract import Contract
from rlt_core.records import (
    ActionChunk,
    EpisodeKind,
    EpisodeState,
    Features,
    FloatArray,
    ImageArray,
    Observation,
    Phase,
    Source,
)
from rlt_core.rl.encoding import encode_state
from rlt_core.rl.networks import Actor
from rlt_core.settings import AgentSettings
from rlt_core.vla.base import VLA, Prefix

REFERENCE_STREAM = 1
EXPLORATION_STREAM = 2


class NotFinite(ValueError):
    """An input or a result of the networks is not finite: nothing may act on it."""


class TokenSource(Protocol):
    """Computes the state's token from a prefix pass: the RL token, or a substitute."""

    def encode(self, prefix: Prefix) -> FloatArray:
        """Return the tokens of a prefix pass, float32 (B, Z)."""


class PolicyStep:
    """The frozen VLA, its RL token and the actor that edits its chunks.

    At a chunk boundary the VLA proposes a new reference; in between, the same reference is shifted
    (RL Token paper: stride-2 windows within a chunk). All noise is a function of the episode's seed
    and the step, so that any two processes draw the same noise.
    """

    def __init__(
        self, vla: VLA, token: TokenSource, contract: Contract, settings: AgentSettings
    ) -> None:
        """Start without actor weights, which is enough for the base policy.

        Args:
            vla: The frozen policy.
            token: Source of the state's token.
            contract: The run's contract.
            settings: Width of the actor and size of the exploration noise.
        """
        self.version = 0
        self._vla = vla
        self._token = token
        self._contract = contract
        self._hash = contract.hash()
        self._settings = settings
        self._actor = Actor(
            contract.state_size,
            contract.chunk,
            contract.action.size,
            settings.hidden_dim,
            np.ones(contract.action.size, np.float32),
        ).requires_grad_(False)
        self._episode = 0
        self._boundary = 0
        self._reference: FloatArray = np.zeros((0, contract.action.size), np.float32)
        self._planned: dict[int, FloatArray] = {}

    def set_weights(self, version: int, weights: Mapping[str, Tensor]) -> None:
        """Use these actor weights from now on.

        Args:
            version: Weights version, from 1.
            weights: As returned by `Agent.actor_state`.

        Raises:
            ValueError: If they do not fit the contract or are not finite; the old ones stay.
        """
        broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
        if broken:
            raise ValueError(
                f"actor weights of version {version} are not finite in {', '.join(broken)}: the "
                f"policy stays at version {self.version}; check the learner's losses"
            )
        previous = self._actor.state_dict()
        expected = {name: tuple(tensor.shape) for name, tensor in previous.items()}
        found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        if found != expected:
            raise ValueError(
                f"actor weights of version {version} have shapes {found}, this policy expects "
                f"{expected}: start learner and policy with the same model and `hidden_dim`"
            )
        self._actor.load_state_dict(dict(weights))
        self.version = version

    def wants(self, tick: int, episode: EpisodeState) -> bool:
        """Whether the observation of a tick is needed: others need not be taken or sent.

        Chunk boundaries always are; the ticks between them only where transitions are stored.
        """
        if tick % self._contract.chunk == 0:
            return True
        return episode.stores(tick) and tick % self._contract.stride == 0

    def rehearse(self) -> None:
        """Run everything on an empty scene, because the first calls of a network are slow."""
        contract = self._contract
        images: dict[str, ImageArray] = {
            camera.name: np.zeros((camera.height, camera.width, 3), np.uint8)
            for camera in contract.cameras
        }
        nothing = EpisodeState(
            run="", episode=0, kind=EpisodeKind.WARMUP, phase=Phase.RUNNING, acting=Source.BASE,
            explore=False, seed=0, tick=0, start_tick=0,
        )
        self.observe(Observation(0, images, np.zeros(contract.proprio.size, np.float32)), nothing)

    def observe(
        self, observation: Observation, episode: EpisodeState
    ) -> tuple[Features | None, ActionChunk | None]:
        """Process the observation of a stride tick of an episode, in order of ticks.

        Args:
            observation: The observation; its tick is on the stride grid.
            episode: The episode in which it was taken, running or just ended.

        Returns:
            Features if the episode's transitions are stored, else None; a chunk at chunk
            boundaries, else None. Both are None if the tick is not wanted, or if its reference is
            unknown because the observation of the previous chunk boundary is missing.

        Raises:
            RuntimeError: If the actor must act and has no weights.
            NotFinite: If proprioception, token, reference or the actor's chunk is not finite. The
                earlier plan stays; later observations are processed as usual.
        """
        tick = observation.tick
        boundary = tick % self._contract.chunk == 0
        if not self.wants(tick, episode) or not (boundary or self._proposed_for(tick, episode)):
            return None, None
        acting = boundary and episode.driver(tick) == Source.ACTOR
        stored = episode.stores(tick)
        _require_finite("proprioception", observation.proprio, tick)
        with torch.inference_mode():
            prefix = self._vla.embed([observation])
            if boundary:
                self._propose(prefix, tick, episode)
            features = None
            if acting or stored:
                features = Features(
                    episode=episode.episode,
                    tick=tick,
                    token=_require_finite("RL token", self._token.encode(prefix)[0], tick),
                    proprio=observation.proprio,
                    reference=self._window(tick),
                )
            chunk = None
            if acting and features is not None:
                chunk = self._chunk(tick, self._edit(features, episode), Source.ACTOR)
            elif boundary:
                chunk = self._chunk(tick, self._window(tick), Source.BASE)
        return (features if stored else None), chunk

    def _proposed_for(self, tick: int, episode: EpisodeState) -> bool:
        """Whether the newest reference belongs to the chunk boundary before `tick`."""
        same_chunk = 0 <= tick - self._boundary < self._contract.chunk
        return same_chunk and episode.episode == self._episode

    def _propose(self, prefix: Prefix, tick: int, episode: EpisodeState) -> None:
        """Sample the reference of the chunk boundary at `tick`."""
        if episode.episode != self._episode:
            self._planned.clear()
        rng = _noise(episode, tick, REFERENCE_STREAM)
        shape = (1, self._contract.horizon, self._contract.action.size)
        noise = rng.standard_normal(shape, dtype=np.float32)
        reference = np.asarray(self._vla.sample(prefix, noise)[0], np.float32)
        self._reference = _require_finite("base policy's reference", reference, tick)
        self._episode, self._boundary = episode.episode, tick

    def _window(self, tick: int) -> FloatArray:
        """The reference for ticks tick + d ... tick + d + C - 1, float32 (C, A).

        Past the horizon its last row is repeated.
        """
        first = tick - self._boundary + self._contract.planning_delay_ticks
        rows = np.minimum(np.arange(first, first + self._contract.chunk), len(self._reference) - 1)
        return np.asarray(self._reference[rows])

    def _edit(self, features: Features, episode: EpisodeState) -> FloatArray:
        """The actor's chunk for the features, SI (C, A); with noise if the episode explores."""
        if not self.version:
            raise RuntimeError(
                f"episode {episode.episode} needs the actor, which has no weights: load a "
                "checkpoint or let the learner finish its warm-up"
            )
        contract, scales = self._contract, self._contract.normaliser
        x = encode_state(contract, features.token, features.proprio, self._committed(features.tick))
        chunk = self._actor(
            torch.from_numpy(x)[None], torch.from_numpy(scales.actions(features.reference))[None]
        )
        if episode.explore:
            rng = _noise(episode, features.tick, EXPLORATION_STREAM)
            size = (contract.chunk, contract.action.size)
            each = rng.standard_normal(size, dtype=np.float32)
            noise = self._settings.exploration_noise * each
            common = rng.standard_normal(size[1], dtype=np.float32)
            noise += self._settings.exploration_noise_chunk * common
            chunk = self._actor.clamp(chunk + torch.from_numpy(noise))
        return _require_finite("actor's chunk", scales.to_si(chunk[0].numpy()), features.tick)

    def _committed(self, tick: int) -> FloatArray:
        """What this policy has planned for the d ticks from `tick` on, SI (d, A); 0 for a hold."""
        hold = np.zeros(self._contract.action.size, np.float32)
        delay = self._contract.planning_delay_ticks
        rows = [self._planned.get(k, hold) for k in range(tick, tick + delay)]
        return np.asarray(rows, np.float32).reshape(delay, self._contract.action.size)

    def _chunk(self, tick: int, actions: FloatArray, source: Source) -> ActionChunk:
        """Make the chunk that answers the observation of `tick`."""
        start = tick + self._contract.planning_delay_ticks
        self._planned = {k: row for k, row in self._planned.items() if k >= tick}
        self._planned.update(enumerate(actions, start))
        return ActionChunk(
            episode=self._episode,
            obs_tick=tick,
            start_tick=start,
            actions=actions,
            tail=self._reference[start - tick + self._contract.chunk :],
            source=source,
            policy_version=self.version if source == Source.ACTOR else 0,
            axis_names=self._contract.action.names,
            contract_hash=self._hash,
        )


def _require_finite(what: str, values: FloatArray, tick: int) -> FloatArray:
    """Return the values if all of them are finite.

    Raises:
        NotFinite: If one is not; names the first.
    """
    finite = np.isfinite(values)
    if not finite.all():
        raise NotFinite(
            f"the {what} for the observation of tick {tick} contains {values[~finite][0]}: its "
            "features and chunk are not used; check the observation and the model"
        )
    return values


def _noise(episode: EpisodeState, tick: int, stream: int) -> np.random.Generator:
    """The random generator of one use at one tick."""
    return np.random.default_rng((episode.seed, tick - episode.start_tick, stream))
