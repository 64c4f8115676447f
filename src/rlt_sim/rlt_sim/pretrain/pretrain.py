"""Command `pretrain`: demonstrations, base policy, RL token, in that order (both frozen after).

`ros2 run rlt_learner pretrain --task ethernet` writes a model folder: the base policy, the RL
token, the contract that binds them, and a record of how they were made and how good they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlt_core.action_space import ActionSpace, tool_yaw
from rlt_core.contract import Contract, Normaliser, VectorSpec
from rlt_core.files import path_of
from rlt_core.records import FloatArray
from rlt_core.rl.rl_token import DECODERS, TokenEncoder
from rlt_core.vla.model import CONTRACT_FILE
from rlt_core.vla.tiny import TinyVLA
from rlt_sim.defaults import installed
from rlt_sim.pretrain.assessment import embed, evaluate_base, probe_all, tokens_of
from rlt_sim.pretrain.dataset import Demonstrations, Frames, demonstrate, scatter
from rlt_sim.pretrain.probe import ProbeResult, score
from rlt_sim.pretrain.training import (
    POSE_SCALE,
    PROPRIO_NAMES,
    Budget,
    spread,
    train_base,
    train_token,
)
from rlt_sim.world import TASKS, World, make_world

RECORD_FILE = "pretrain.json"

_PROPRIO_UNITS = ("m", "m", "m", "rad", "N", "N", "N", "N m")
_CHUNK, _STRIDE = 10, 2


def pretrain(
    task: str, output: Path, seed: int, privileged: bool, decoder: str | None, budget: Budget
) -> dict[str, Any]:
    """Make a model folder.

    Args:
        task: Name of the simulated task.
        output: Folder to write; replaced completely, only when everything is done.
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
    threads = torch.get_num_threads()
    defaults = installed(task)
    world = make_world(defaults.task, **defaults.world)
    practice = make_world(defaults.task, clearance_m=budget.demonstration_clearance_m)
    folder = _working_folder(output)
    try:
        demos = demonstrate(
            practice, budget.demonstrations, budget.demonstration_ticks, 50, _STRIDE, seed
        )
        train, test = demos.split(budget.held_out_share)
        scattered = scatter(practice, budget.scattered, seed)
        labelled = scattered if privileged else None
        network = train_base(train, labelled, defaults.instruction, budget, seed)
        vla = TinyVLA(network, defaults.instruction)

        embeddings, test_embeddings = embed(vla, train), embed(vla, test)
        names = [decoder] if decoder else list(DECODERS)
        # Demonstrations rarely show a jam; the token must describe one as well as the VLA does.
        seen = torch.cat([embeddings, embed(vla, scattered[: budget.token_scattered])])
        tokens = {name: train_token(name, seen, budget, seed) for name in names}
        probes = probe_all(embeddings, test_embeddings, train, test, tokens)
        if privileged:
            with torch.inference_mode():
                pose = network.pose(test_embeddings.mean(dim=1)).numpy() * POSE_SCALE
            probes["pose_head"] = score(pose, test.offsets)
        shipped = min(tokens, key=lambda name: _relative_error(probes[f"token_{name}"]))
        encoder = tokens[shipped]

        contract = _contract(vla, encoder, world, train, tokens_of(encoder, embeddings))
        vla.save(folder)
        encoder.save(folder)
        contract.save(folder / CONTRACT_FILE)
        limit = defaults.schedule.time_limit_ticks
        base = evaluate_base(folder, world, defaults.limits, limit, budget.evaluation_episodes)
        record = {
            "command": _command(task, seed, privileged, decoder),
            "seed": seed,
            "threads": threads,
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
        (folder / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _replace(folder, output)
        return record
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        world.close()
        practice.close()


def _contract(
    vla: TinyVLA, encoder: TokenEncoder, world: World, train: Frames, tokens: FloatArray
) -> Contract:
    increments = np.abs(train.chunks[:, :_STRIDE]).reshape(-1, train.chunks.shape[-1])
    normaliser = Normaliser(
        action_scale=np.maximum(np.quantile(increments, 0.99, axis=0), 1e-6).astype(np.float32),
        proprio_mean=train.proprio.mean(axis=0),
        proprio_std=spread(train.proprio),
        token_mean=tokens.mean(axis=0),
        token_std=spread(tokens),
    )
    return Contract(
        vla_backend="tiny",
        vla_digest=vla.digest(),
        token_digest=encoder.digest(),
        instruction=vla.instruction,
        cameras=vla.cameras,
        proprio=VectorSpec(PROPRIO_NAMES, _PROPRIO_UNITS, "tcp_wrench"),
        action=ActionSpace((tool_yaw(),)),
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
    """Replace the old folder with the finished one."""
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
    parser.add_argument("--output", type=path_of, help="model folder (default models/<task>)")
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
