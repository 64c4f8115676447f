"""Command `benchmark`: how good the method is, beside perfect eyes and the floor.

`ros2 run rlt_learner benchmark --task ethernet --seeds 0 1 2` repeats the main job in process,
without ROS, for several seeds and pools the paired evaluations. `--rows` chooses what stands in
the table:

    rlt           base policy before, actor after, as `train.launch.py` runs them
    privileged    the same with the simulator's state instead of the RL token: perfect eyes
    demonstrator  the imperfect expert that the base policy was cloned from
    clean         the same expert without its faults: about the fastest that the task allows
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rlt_core.episodes import EpisodeResult, make_schedule
from rlt_core.records import EpisodeKind, Outcome
from rlt_core.runner import build_runner
from rlt_core.statistics import compare, summarise
from rlt_learner.installed import Installed, installed
from rlt_sim.demonstrator import Demonstrator, rollout
from rlt_sim.world import World, make_world

ROWS = ("rlt", "privileged", "demonstrator", "clean")
BOOTSTRAP_SEED = 0


def train_runs(
    task: str, defaults: Installed, seeds: list[int], privileged: bool
) -> list[EpisodeResult]:
    """Run the main job once per seed, in process; return all episodes."""
    results: list[EpisodeResult] = []
    for seed in seeds:
        schedule = dataclasses.replace(defaults.schedule, seed=seed)
        runner = build_runner(
            make_world(task, **defaults.world),
            defaults.model,
            defaults.limits,
            schedule,
            agent=defaults.agent,
            training=defaults.training,
            chunks=defaults.chunks,
            privileged=privileged,
        )
        total = schedule.base_eval_episodes + schedule.episodes + schedule.eval_episodes
        title = f"{'privileged' if privileged else 'rlt'}, seed {seed}"
        results += tqdm(runner.run(), total=total, desc=title, unit="episode", mininterval=2.0)
    return results


def expert_runs(
    task: str, defaults: Installed, seeds: list[int], faults: bool
) -> list[EpisodeResult]:
    """Let the scripted expert do the evaluation episodes of every seed."""
    world = make_world(task, **defaults.world)
    results = []
    for seed in seeds:
        schedule = dataclasses.replace(defaults.schedule, seed=seed)
        plans = make_schedule(schedule, defaults.training.warmup_episodes)
        evaluation = [plan for plan in plans if plan.kind is EpisodeKind.EVAL]
        title = f"{'demonstrator' if faults else 'clean'}, seed {seed}"
        for plan in tqdm(evaluation, desc=title, unit="episode", mininterval=2.0):
            expert = Demonstrator(plan.seed, faults)
            take = rollout(world, expert, plan.seed, schedule.time_limit_ticks, image_stride=0)
            outcome = Outcome.SUCCESS if take.success else Outcome.FAILURE
            results.append(
                EpisodeResult(plan.episode, plan.kind, plan.seed, outcome, take.ticks, "auto", 0)
            )
    return results


def figures(name: str, results: list[EpisodeResult], defaults: Installed) -> list[dict[str, Any]]:
    """Rows of the table: the evaluation, and the base's before it where there is one."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    by_kind = {
        kind: [result for result in results if result.kind is kind]
        for kind in (EpisodeKind.BASE_EVAL, EpisodeKind.EVAL)
    }
    rows = []
    for kind, label in ((EpisodeKind.BASE_EVAL, f"{name}: base"), (EpisodeKind.EVAL, name)):
        if by_kind[kind]:
            limit = defaults.schedule.time_limit_ticks
            summary = summarise(by_kind[kind], 1.0 / World.rate_hz, limit, rng)
            solved = [r.steps for r in by_kind[kind] if r.outcome is Outcome.SUCCESS]
            p90 = float(np.quantile(solved, 0.9)) if solved else None
            row = {"row": label, **dataclasses.asdict(summary), "p90_steps_success": p90}
            rows.append(row)
    if all(by_kind.values()):
        difference = compare(by_kind[EpisodeKind.BASE_EVAL], by_kind[EpisodeKind.EVAL], rng)
        rows[-1]["difference"] = dataclasses.asdict(difference)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| | episodes | success (95 %) | difference (95 %) | median steps of successes | p90 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        low, high = row["success_rate_ci95"]
        difference = row.get("difference")
        gain = "–"
        if difference:
            below, above = difference["ci95"]
            gain = f"{difference['success_rate']:+.1%} ({below:+.1%} … {above:+.1%})"
        lines.append(
            f"| {row['row']} | {row['episodes']} | {row['success_rate']:.1%} "
            f"({low:.1%} … {high:.1%}) | {gain} | {row['median_steps_success']} | "
            f"{row['p90_steps_success']} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, run the rows, print the table."""
    parser = argparse.ArgumentParser(
        prog="ros2 run rlt_learner benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--task", default="ethernet", help="simulated task")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the runs")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="table rows")
    parser.add_argument("--model", type=Path, help="another model folder than the installed one")
    parser.add_argument("--output", type=Path, help="write the rows as JSON, too")
    options = parser.parse_args(arguments)
    try:
        defaults = installed(options.task)
        if options.model:
            defaults = dataclasses.replace(defaults, model=options.model)
        rows = []
        for name in options.rows:
            if name in ("demonstrator", "clean"):
                faults = name == "demonstrator"
                results = expert_runs(options.task, defaults, options.seeds, faults)
            else:
                privileged = name == "privileged"
                results = train_runs(options.task, defaults, options.seeds, privileged)
            rows += figures(name, results, defaults)
        if options.output:
            options.output.write_text(json.dumps(rows, indent=1) + "\n")
    except (OSError, ValueError) as error:
        sys.exit(f"benchmark: error: {error}")
    print(table(rows))


if __name__ == "__main__":
    main()
