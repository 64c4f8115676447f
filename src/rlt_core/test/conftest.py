"""A toy robot, VLA and run for the tests of the method: two axes, fast, without a simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from axis_columns import AxisColumns
from hypothesis import settings as hypothesis_settings

from rlt_core.action_space import TOOL_YAW, ActionGroup, ActionSpace
from rlt_core.contract import CameraSpec, Contract, Normaliser, VectorSpec
from rlt_core.control.control_loop import ControlLoop
from rlt_core.control.motion_limits import normalised_bound
from rlt_core.episodes.episode_machine import EpisodeMachine
from rlt_core.log.transition_log import TransitionLog
from rlt_core.log.windows import WindowBuilder
from rlt_core.records import Observation
from rlt_core.rl.policy_step import PolicyStep
from rlt_core.rl.trainer import Trainer
from rlt_core.runner import Runner
from rlt_core.settings import (
    AgentSettings,
    ChunkSettings,
    ScheduleSettings,
    TrainingSettings,
)
from rlt_core.vla.base import VLA, Prefix

torch.set_num_threads(1)  # matrices this small are slower on more
hypothesis_settings.register_profile("any machine", deadline=None)
hypothesis_settings.load_profile("any machine")

SCALE = 0.001  # m per tick, the action scale
SPACE = ActionSpace((ActionGroup("arm", TOOL_YAW, ("x", "y"), ("m", "m")),))
LIMITS = AxisColumns(
    position_min=[-0.1, -0.1],
    position_max=[0.1, 0.1],
    velocity=[0.06, 0.06],
    acceleration=[5.0, 5.0],
    max_tracking_error=[0.01, 0.01],
).limits(SPACE)


def make_contract(**changes: int) -> Contract:
    """A contract of two axes, a token of two elements and short chunks."""
    contract = Contract(
        vla_backend="toy",
        vla_digest="toy",
        token_digest="toy",
        instruction="go to the goal",
        cameras=(CameraSpec("wrist", 1, 1),),
        proprio=VectorSpec(("x", "y", "fx", "fy"), ("m", "m", "N", "N"), "tcp_wrench"),
        action=SPACE,
        normaliser=Normaliser(
            action_scale=np.full(2, SCALE, np.float32),
            proprio_mean=np.zeros(4, np.float32),
            proprio_std=np.full(4, 0.02, np.float32),
            token_mean=np.zeros(2, np.float32),
            token_std=np.full(2, 0.01, np.float32),
        ),
        horizon=20,
        chunk=4,
        stride=2,
    )
    return contract.replace(**changes)


@dataclass(frozen=True)
class ToyState:
    tcp: np.ndarray
    wrench: np.ndarray


class ToyWorld:
    """A point that is always at its set-point; succeeds within 1 mm of a random goal."""

    def __init__(self) -> None:
        self.goal = np.zeros(2)
        self.tcp = np.zeros(2)

    def reset(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.tcp = np.zeros(2)
        self.goal = rng.uniform(0.01, 0.02, 2) * rng.choice([-1, 1], 2)

    def step(self, setpoint: np.ndarray) -> None:
        self.tcp = np.array(setpoint)

    def state(self) -> ToyState:
        return ToyState(self.tcp.copy(), np.zeros(2))

    def render(self) -> dict[str, np.ndarray]:
        pixel = np.round((self.goal - self.tcp) / 0.00025) + 128
        return {"wrist": np.array([[[*np.clip(pixel, 0, 255), 0]]], np.uint8)}

    def task_state(self) -> SimpleNamespace:
        offset = self.tcp - self.goal
        return SimpleNamespace(
            success=bool(np.abs(offset).max() < 0.001), failure=False,
            critical=bool(np.abs(offset).max() < 0.008), offset=offset,
        )


class ToyVLA(VLA):
    """Sees the direction to the goal in one pixel and moves there slowly, with noise."""

    def __init__(self, contract: Contract) -> None:
        self.horizon, self.token_count, self.width = contract.horizon, 1, 2
        self.instruction = contract.instruction
        self.cameras = contract.cameras
        self.proprio_names, self.axis_names = contract.proprio.names, contract.action.names

    @classmethod
    def load(cls, folder: object, instruction: str) -> ToyVLA:
        raise NotImplementedError

    def embed(self, observations: Sequence[Observation]) -> Prefix:
        pixels = np.stack([o.images["wrist"][0, 0, :2] for o in observations])
        way = torch.from_numpy((pixels.astype(np.float32) - 128) * 0.00025)[:, None]
        return Prefix(way, torch.ones(len(observations), 1, dtype=torch.bool), None)

    def sample(self, prefix: Prefix, noise: np.ndarray) -> np.ndarray:
        way = prefix.embeddings.numpy()
        step = 0.25 * SCALE * np.clip(way / 0.003, -1, 1)
        return (step + 0.1 * SCALE * noise).astype(np.float32)

    def digest(self) -> str:
        return "toy"


class ToyToken:
    """The direction to the goal, as the VLA sees it."""

    def encode(self, prefix: Prefix) -> np.ndarray:
        return prefix.embeddings[:, 0].numpy()


def make_runner(
    contract: Contract | None = None,
    schedule: ScheduleSettings | None = None,
    training: TrainingSettings | None = None,
    agent: AgentSettings | None = None,
    train: bool = True,
) -> Runner:
    """A runner of a short training run on the toy robot."""
    contract = contract or make_contract()
    agent = agent or AgentSettings(hidden_dim=32, batch_size=32)
    training = training or TrainingSettings(
        warmup_episodes=2, warmup_bc_updates=20, warmup_critic_updates=20, replay_capacity=10_000
    )
    schedule = schedule or ScheduleSettings(
        base_eval_episodes=1, episodes=4, eval_episodes=1, time_limit_ticks=101
    )
    trainer = None
    if train:
        bound = normalised_bound(LIMITS, contract)
        trainer = Trainer(contract, bound, agent, training, schedule.seed)
    return Runner(
        world=ToyWorld(),
        contract=contract,
        policy=PolicyStep(ToyVLA(contract), ToyToken(), contract, agent),
        control=ControlLoop(contract, LIMITS, ChunkSettings()),
        machine=EpisodeMachine("toy", schedule, training.warmup_episodes, contract.chunk),
        builder=WindowBuilder(contract),
        log=TransitionLog("toy"),
        trainer=trainer,
    )


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """Factories of the toy objects."""
    return SimpleNamespace(
        contract=make_contract, runner=make_runner, limits=LIMITS, world=ToyWorld, vla=ToyVLA,
        token=ToyToken,
    )
