"""Command `pretrain`: demonstrations, base policy, RL token, in that order (both frozen after).

`ros2 run rlt_learner pretrain --task ethernet` writes a model folder: the base policy, the RL
token, the contract that binds them, and a record of how they were made and what they are worth.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from tqdm import tqdm

from rlt_core.contract import CameraSpec, Contract, Normaliser, VectorSpec
from rlt_core.probe import ProbeResult, Samples, pca, ridge_probe, score
from rlt_core.records import FloatArray, Observation
from rlt_core.rl_token import DECODERS, TokenEncoder, reconstruction_loss
from rlt_core.vla.model import CONTRACT_FILE
from rlt_core.vla.tiny import TinyConfig, TinyNetwork, TinyVLA, flow_matching_loss, tokenise
from rlt_learner.dataset import Demonstrations, Frames, demonstrate, scatter
from rlt_sim.demonstrator import move_setpoint
from rlt_sim.world import TASKS, World, make_world

INSTRUCTIONS = {"ethernet": "insert the ethernet plug into the socket"}
RECORD_FILE = "pretrain.json"

_AXIS_UNITS = ("m", "m", "m", "rad")
_PROPRIO_NAMES = ("x", "y", "z", "yaw", "fx", "fy", "fz", "tz")
_PROPRIO_UNITS = ("m", "m", "m", "rad", "N", "N", "N", "N m")
_POSE_SCALE = np.array([0.004, 0.004, 0.006, 0.06], dtype=np.float32)
_STRIDE, _CHUNK = 2, 10
_FIRST_EVALUATION_SEED = 4_000_000_000


@dataclass(frozen=True)
class Budget:
    """How much pretraining does; the defaults make the shipped models.

    Attributes:
        demonstrations: Successful demonstrations of the imperfect expert.
        demonstration_ticks: Length at which an attempt is given up.
        held_out_share: Share of demonstrations held out from base, token and probe.
        scattered: Labelled static frames for the auxiliary pose loss.
        base_steps: Gradient steps of the base policy.
        batch: Demonstration frames per step.
        scattered_batch: Scattered frames per step.
        pose_weight: Weight of the auxiliary pose loss.
        token_steps: Gradient steps of the RL token, for each decoder.
        token_batch: Embeddings per step of the RL token.
        learning_rate: Peak of the cosine schedule, for base and token.
        evaluation_episodes: Episodes of the base policy for the record.
        evaluation_ticks: Time limit of these.
    """

    demonstrations: int = 150
    demonstration_ticks: int = 400
    held_out_share: float = 0.15
    scattered: int = 16_000
    base_steps: int = 2200
    batch: int = 20
    scattered_batch: int = 28
    pose_weight: float = 2.0
    token_steps: int = 1000
    token_batch: int = 64
    learning_rate: float = 1e-3
    evaluation_episodes: int = 40
    evaluation_ticks: int = 400


def train_base(
    train: Frames, scattered: Frames | None, instruction: str, budget: Budget, seed: int
) -> TinyNetwork:
    """Train the base policy by flow matching, with the auxiliary pose loss if labels may be used.

    Args:
        train: Demonstration frames.
        scattered: Labelled frames; None trains without any privileged label.
        instruction: The task's language instruction.
        budget: Steps and batch sizes.
        seed: Seed of weights, batches, noise.

    Returns:
        The trained network.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng((seed, 2))
    network = _new_network(train)
    words = tokenise(instruction, network.config.words, network.config.vocabulary)
    action_std = network.action_std.numpy()

    def loss() -> dict[str, torch.Tensor]:
        picked = train[rng.integers(len(train), size=budget.batch)]
        images, proprio, offsets = picked.images, picked.proprio, picked.offsets
        if scattered is not None:
            extra = scattered[rng.integers(len(scattered), size=budget.scattered_batch)]
            images = np.concatenate([images, extra.images])
            proprio = np.concatenate([proprio, extra.proprio])
            offsets = np.concatenate([offsets, extra.offsets])
        prefix = network.prefix(torch.from_numpy(images), torch.from_numpy(proprio), words)
        chunks = torch.from_numpy(picked.chunks / action_std)
        losses = {"flow": flow_matching_loss(network, prefix[: budget.batch], chunks, generator)}
        if scattered is not None:
            estimate = network.pose_estimate(prefix)
            target = torch.from_numpy(offsets / _POSE_SCALE)
            pose = functional.smooth_l1_loss(estimate, target, beta=0.1)
            losses["pose"] = budget.pose_weight * pose
        return losses

    _optimise(list(network.parameters()), loss, budget.base_steps, budget.learning_rate, "base")
    return network


def train_token(
    decoder_name: str, embeddings: torch.Tensor, budget: Budget, seed: int
) -> TokenEncoder:
    """Train an RL token on cached embeddings (N, M, D) (RL Token paper, Eq. 2).

    Args:
        decoder_name: A name in `DECODERS`.
        embeddings: Frozen embeddings.
        budget: Steps and batch size.
        seed: Seed of weights, batches, context dropout.

    Returns:
        The encoder; the decoder is dropped.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder = TokenEncoder(embeddings.shape[1], embeddings.shape[2])
    encoder.fit_scale(embeddings)
    decoder = DECODERS[decoder_name](embeddings.shape[1], embeddings.shape[2], encoder.size)

    def loss() -> dict[str, torch.Tensor]:
        index = torch.randint(len(embeddings), (budget.token_batch,), generator=generator)
        return {"loss": reconstruction_loss(encoder, decoder, embeddings[index], generator)}

    parameters = [*encoder.parameters(), *decoder.parameters()]
    title = f"token, {decoder_name}"
    _optimise(parameters, loss, budget.token_steps, budget.learning_rate, title)
    return encoder.eval().requires_grad_(False)


def evaluate_base(vla: TinyVLA, world: World, budget: Budget) -> dict[str, float | None]:
    """Success rate and speed of the base policy, replanning every C ticks, on seeds of its own."""
    lengths, successes = [], []
    for episode in tqdm(
        range(budget.evaluation_episodes), desc="base policy", unit="episode", mininterval=2.0
    ):
        ticks, success = _base_episode(
            vla, world, _FIRST_EVALUATION_SEED + episode, budget.evaluation_ticks
        )
        lengths.append(ticks)
        successes.append(success)
    solved = [ticks for ticks, success in zip(lengths, successes, strict=True) if success]
    return {
        "episodes": budget.evaluation_episodes,
        "time_limit_ticks": budget.evaluation_ticks,
        "success_rate": float(np.mean(successes)),
        "median_steps": float(np.median(lengths)),
        "median_steps_success": float(np.median(solved)) if solved else None,
        "p90_steps_success": float(np.quantile(solved, 0.9)) if solved else None,
    }


def probe_all(
    embeddings: torch.Tensor, held_out: torch.Tensor, train: Frames, test: Frames,
    tokens: dict[str, TokenEncoder],
) -> dict[str, ProbeResult]:
    """Probe every representation of the same frames.

    Args:
        embeddings: (N, M, D) of `train`.
        held_out: (K, M, D) of `test`.
        train: Frames to fit on.
        test: Frames of other episodes.
        tokens: Decoder name -> encoder trained with it.

    Returns:
        Name of the representation -> score.
    """
    flat = [item.flatten(1).numpy() for item in (embeddings, held_out)]
    kinds: dict[str, list[NDArray[Any]]] = {
        "raw": list(flat),
        "pooled": [item.mean(dim=1).numpy() for item in (embeddings, held_out)],
        "pca64": list(pca(flat[0], flat, 64)),
    }
    for name, encoder in tokens.items():
        kinds[f"token_{name}"] = [_tokens(encoder, item) for item in (embeddings, held_out)]
    return {
        name: ridge_probe(
            Samples(fit, train.offsets, train.episodes), Samples(seen, test.offsets, test.episodes)
        )
        for name, (fit, seen) in kinds.items()
    }


def pretrain(
    task: str, output: Path, seed: int, privileged: bool, decoder: str | None, budget: Budget
) -> dict[str, Any]:
    """Make a model folder.

    Args:
        task: Name of the simulated task.
        output: Folder to write; replaced as a whole, only when everything is done.
        seed: Seed of everything.
        privileged: Whether simulator labels may serve as an auxiliary loss.
        decoder: Decoder of the RL token to ship; None probes all and ships the best.
        budget: How much to do.

    Returns:
        The record that is also written as pretrain.json.

    Raises:
        ValueError: If the task is unknown.
        OSError: If the output cannot be written.
    """
    started = time.monotonic()
    world = make_world(task)
    folder = _working_folder(output)
    try:
        instruction = INSTRUCTIONS[task]
        demos = demonstrate(
            world, budget.demonstrations, budget.demonstration_ticks, 50, _STRIDE, seed
        )
        train, test = demos.split(budget.held_out_share)
        labelled = scatter(world, budget.scattered, seed) if privileged else None
        network = train_base(train, labelled, instruction, budget, seed)
        vla = TinyVLA(network, instruction)
        base = evaluate_base(vla, world, budget)

        embeddings, test_embeddings = _embed(vla, train), _embed(vla, test)
        names = [decoder] if decoder else list(DECODERS)
        tokens = {name: train_token(name, embeddings, budget, seed) for name in names}
        probes = probe_all(embeddings, test_embeddings, train, test, tokens)
        if privileged:
            with torch.inference_mode():
                pose = network.pose(test_embeddings.mean(dim=1)).numpy() * _POSE_SCALE
            probes["pose_head"] = score(pose, test.offsets)
        shipped = min(tokens, key=lambda name: _relative_error(probes[f"token_{name}"]))
        encoder = tokens[shipped]

        contract = _contract(vla, encoder, world, train, _tokens(encoder, embeddings))
        vla.save(folder)
        encoder.save(folder)
        contract.save(folder / CONTRACT_FILE)
        record = {
            "command": _command(task, seed, privileged, decoder),
            "seed": seed,
            "threads": torch.get_num_threads(),
            "minutes": round((time.monotonic() - started) / 60.0, 1),
            "privileged_pretraining": privileged,
            "decoder": shipped,
            "decoder_choice": _choice(decoder, shipped),
            "contract_hash": contract.hash(),
            "demonstrations": _demonstration_record(demos, test),
            "base": base,
            "probe_units": "rmse_x, rmse_y, rmse_z in mm, rmse_yaw in deg; held-out episodes",
            "probe": {name: _row(result) for name, result in probes.items()},
            "budget": asdict(budget),
            "versions": _versions(),
        }
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n")
        _replace(folder, output)
        return record
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        world.close()


def _new_network(train: Frames) -> TinyNetwork:
    cameras = tuple(CameraSpec(name, 64, 64) for name in World.camera_names)
    network = TinyNetwork(TinyConfig(cameras, _PROPRIO_NAMES, World.axis_names))
    network.proprio_mean.copy_(torch.from_numpy(train.proprio.mean(axis=0)))
    network.proprio_std.copy_(torch.from_numpy(_spread(train.proprio)))
    network.action_std.copy_(torch.from_numpy(_spread(train.chunks.reshape(-1, 4))))
    return network


def _spread(values: NDArray[Any]) -> FloatArray:
    """Standard deviation per column, never 0."""
    return np.maximum(values.std(axis=0), 1e-6).astype(np.float32)


def _optimise(
    parameters: list[torch.nn.Parameter],
    loss: Callable[[], dict[str, torch.Tensor]],
    steps: int,
    peak: float,
    title: str,
) -> None:
    """AdamW with warm-up, cosine decay and clipped gradients, under a progress bar."""
    optimiser = torch.optim.AdamW(parameters, lr=peak, fused=True)
    smooth: dict[str, float] = {}
    bar = tqdm(range(steps), desc=title, unit="step", mininterval=2.0)
    for step in bar:
        rate = peak * min(1.0, (step + 1) / 100) * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        losses = loss()
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        for name, value in losses.items():
            smooth[name] = 0.98 * smooth.get(name, float(value.detach())) + 0.02 * value.item()
        if step % 20 == 0 or step == steps - 1:
            bar.set_postfix({name: f"{value:.4f}" for name, value in smooth.items()}, refresh=False)


def _base_episode(vla: TinyVLA, world: World, seed: int, limit: int) -> tuple[int, bool]:
    world.reset(seed)
    rng = np.random.default_rng(seed)
    chunk: Iterator[FloatArray] = iter(())
    for tick in range(limit):
        robot = world.state()
        if tick % _CHUNK == 0:
            proprio = np.concatenate([robot.tcp, robot.wrench]).astype(np.float32)
            prefix = vla.embed([Observation(tick, world.render(), proprio)])
            noise = rng.standard_normal((1, vla.horizon, len(vla.axis_names)))
            chunk = iter(vla.sample(prefix, noise)[0])
        world.step(move_setpoint(robot.setpoint, next(chunk).astype(np.float64), robot.tcp))
        verdict = world.task_state()
        if verdict.success or verdict.failure:
            return tick + 1, verdict.success
    return limit, False


def _embed(vla: TinyVLA, frames: Frames) -> torch.Tensor:
    """Embeddings (N, M, D) of all frames, in batches."""
    names = [camera.name for camera in vla.cameras]
    parts = []
    for start in tqdm(range(0, len(frames), 64), desc="embeddings", unit="batch", mininterval=2.0):
        batch = frames[start : start + 64]
        observations = [
            Observation(0, dict(zip(names, images, strict=True)), proprio)
            for images, proprio in zip(batch.images, batch.proprio, strict=True)
        ]
        parts.append(vla.embed(observations).embeddings)
    return torch.cat(parts).clone()


def _tokens(encoder: TokenEncoder, embeddings: torch.Tensor) -> FloatArray:
    with torch.inference_mode():
        parts = [encoder(encoder.standardise(part)) for part in embeddings.split(256)]
    return np.asarray(torch.cat(parts).numpy())


def _contract(
    vla: TinyVLA, encoder: TokenEncoder, world: World, train: Frames, tokens: FloatArray
) -> Contract:
    increments = np.abs(train.chunks[:, :_STRIDE]).reshape(-1, train.chunks.shape[-1])
    normaliser = Normaliser(
        action_scale=np.maximum(np.quantile(increments, 0.99, axis=0), 1e-6).astype(np.float32),
        proprio_mean=train.proprio.mean(axis=0),
        proprio_std=_spread(train.proprio),
        token_mean=tokens.mean(axis=0),
        token_std=_spread(tokens),
    )
    return Contract(
        vla_backend="tiny",
        vla_digest=vla.digest(),
        token_digest=encoder.digest(),
        instruction=vla.instruction,
        cameras=vla.cameras,
        proprio=VectorSpec(_PROPRIO_NAMES, _PROPRIO_UNITS, "tcp_wrench"),
        action=VectorSpec(tuple(world.axis_names), _AXIS_UNITS, "delta_tcp"),
        normaliser=normaliser,
        horizon=vla.horizon,
        chunk=_CHUNK,
        stride=_STRIDE,
        rate_hz=world.rate_hz,
    )


def _relative_error(result: ProbeResult) -> float:
    """One figure of merit: unexplained variance, averaged over the axes."""
    return float(np.mean(1.0 - result.r2))


def _row(result: ProbeResult) -> dict[str, float]:
    units = np.array([1e3, 1e3, 1e3, np.rad2deg(1.0)])
    names = World.axis_names
    row = {f"r2_{n}": round(float(value), 4) for n, value in zip(names, result.r2, strict=True)}
    errors = zip(names, result.rmse * units, strict=True)
    return row | {f"rmse_{name}": round(float(value), 4) for name, value in errors}


def _demonstration_record(demos: Demonstrations, test: Frames) -> dict[str, Any]:
    return {
        "successful": int(demos.frames.episodes.max()) + 1,
        "attempts": demos.attempts,
        "frames": len(demos.frames),
        "median_ticks": demos.median_ticks,
        "held_out_episodes": len(np.unique(test.episodes)),
    }


def _choice(asked: str | None, shipped: str) -> str:
    if asked:
        return f"{asked}: asked for"
    return f"{shipped}: lowest unexplained variance of the offset on held-out episodes"


def _command(task: str, seed: int, privileged: bool, decoder: str | None) -> str:
    words = ["ros2 run rlt_learner pretrain", f"--task {task}", f"--seed {seed}"]
    words += [] if privileged else ["--no-privileged"]
    words += [f"--decoder {decoder}"] if decoder else []
    return " ".join([*words, f"--threads {torch.get_num_threads()}"])


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("torch", "numpy", "mujoco")}
    return {"python": sys.version.split()[0], **found}


def _working_folder(output: Path) -> Path:
    """Make the temporary folder beside the output, so that a bad output fails before the work."""
    folder = output.parent / f".{output.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True)
        if output.exists() and not output.is_dir():
            raise NotADirectoryError(f"{output} is a file")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(
            f"cannot write the model folder {output}: {error}; choose another with --output"
        ) from error
    return folder


def _replace(folder: Path, output: Path) -> None:
    """Put a finished folder in the place of the old one."""
    old = output.with_name(f"{folder.name}.old")
    if output.exists():
        output.rename(old)
    folder.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def main() -> int:
    """Entry point of the command.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="pretrain", description=__doc__)
    parser.add_argument("--task", required=True, help=f"simulated task: {', '.join(sorted(TASKS))}")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default 0)")
    parser.add_argument("--output", type=Path, help="model folder (default models/<task>)")
    parser.add_argument(
        "--no-privileged", action="store_true", help="use no simulator label in any loss"
    )
    parser.add_argument(
        "--decoder", choices=sorted(DECODERS), help="RL token decoder (default: probe all)"
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        record = pretrain(
            arguments.task,
            arguments.output or Path("models") / arguments.task,
            arguments.seed,
            not arguments.no_privileged,
            arguments.decoder,
            Budget(),
        )
    except (ValueError, RuntimeError, OSError) as error:
        print(f"pretrain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pretrain: interrupted, nothing was written", file=sys.stderr)
        return 130
    print(json.dumps({key: record[key] for key in ("base", "decoder", "probe")}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
