"""Command `benchmark`: the method compared with perfect perception and with the expert.

`ros2 run rlt_learner benchmark --task ethernet --seeds 0 1 2` repeats the main job in process,
without ROS, for several seeds and pools the paired evaluations. `--rows` selects the rows of the
table:

    rlt           base policy before, actor after, as `train.launch.py` runs them
    rlt_person    the same with a scripted person who helps in warm-up and training when the robot
                  stalls; evaluated alone, on the same seeds, and compared with `rlt`
    privileged    the same with the simulator's state instead of the RL token: perfect perception
    demonstrator  the imperfect expert that the base policy was cloned from
    clean         the same expert without its faults: about the fastest that the task allows
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import Any

import numpy as np
from tqdm import tqdm

from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.schedule import make_schedule
from rlt_core.episodes.statistics import compare, judged, paired_bootstrap, summarise
from rlt_core.files import path_of
from rlt_core.records import EpisodeKind, Outcome
from rlt_core.runner import build_runner
from rlt_sim.defaults import Installed, installed
from rlt_sim.demonstrator import Demonstrator, rollout
from rlt_sim.person import ScriptedPerson
from rlt_sim.privileged import privileged_token
from rlt_sim.world import World, make_world

ROWS = ("rlt", "rlt_person", "privileged", "demonstrator", "clean")
BOOTSTRAP_SEED = 0


def train_runs(defaults: Installed, seeds: list[int], row: str) -> list[EpisodeResult]:
    """Run the main job once per seed, in process, as a row asks; return all episodes."""
    results: list[EpisodeResult] = []
    for seed in seeds:
        schedule = dataclasses.replace(defaults.schedule, seed=seed)
        world = make_world(defaults.task, **defaults.world)
        runner = build_runner(
            world,
            defaults.model,
            defaults.limits,
            schedule,
            agent=defaults.agent,
            training=defaults.training,
            chunks=defaults.chunks,
            token=privileged_token(world) if row == "privileged" else None,
            person=ScriptedPerson if row == "rlt_person" else None,
        )
        total = schedule.base_eval_episodes + schedule.episodes + schedule.eval_episodes
        title = f"{row}, seed {seed}"
        results += tqdm(runner.run(), total=total, desc=title, unit="episode", mininterval=2.0)
    return results


def expert_runs(defaults: Installed, seeds: list[int], faults: bool) -> list[EpisodeResult]:
    """Let the scripted expert do the evaluation episodes of every seed."""
    world = make_world(defaults.task, **defaults.world)
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
                EpisodeResult(
                    plan.episode, plan.kind, plan.seed, outcome, take.ticks, "auto",
                    interventions=0, critical_steps=take.ticks, human_ticks=0,
                )
            )
    return results


def figures(name: str, results: list[EpisodeResult], defaults: Installed) -> list[dict[str, Any]]:
    """Rows of the table: the evaluation, and before it the base policy's, if there is one."""
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
    training = [result for result in results if result.kind.stored]
    if training:
        rows[-1]["training"] = effort(training)
    return rows


def effort(training: list[EpisodeResult]) -> dict[str, Any]:
    """The cost of training for robot and person: warm-up and training episodes, runs pooled.

    Returns:
        `robot_seconds`, `success_rate`, `human_share` of the executed ticks, and
        `interventions_per_episode` in each quarter of the training.
    """
    first = min(result.episode for result in training)
    length = max(result.episode for result in training) + 1 - first
    quarters: list[list[int]] = [[], [], [], []]
    for result in training:
        quarters[4 * (result.episode - first) // length].append(result.interventions)
    ticks = sum(result.steps for result in training)
    return {
        "robot_seconds": ticks / World.rate_hz,
        "success_rate": float(np.mean([r.outcome is Outcome.SUCCESS for r in judged(training)])),
        "human_share": sum(result.human_ticks for result in training) / ticks,
        "interventions_per_episode": [float(np.mean(q)) if q else 0.0 for q in quarters],
    }


def against(
    alone: list[EpisodeResult], helped: list[EpisodeResult], limit: int
) -> dict[str, Any]:
    """The evaluation of `helped` minus that of `alone`, paired by the episodes' seeds.

    Args:
        alone: All episodes of the runs without a person.
        helped: All episodes of the runs with one.
        limit: Control ticks that a failure counts as.

    Returns:
        `success_rate` and `ci95`, `pairs`, `steps` and `steps_ci95`: the mean difference in ticks.
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    without, with_person = (
        judged([result for result in results if result.kind is EpisodeKind.EVAL])
        for results in (alone, helped)
    )
    difference = compare(without, with_person, rng)
    first, second = (
        {r.seed: r.steps if r.outcome is Outcome.SUCCESS else limit for r in results}
        for results in (without, with_person)
    )
    steps = np.array([second[seed] - first[seed] for seed in sorted(first.keys() & second.keys())])
    return {
        **dataclasses.asdict(difference),
        "steps": float(steps.mean()),
        "steps_ci95": paired_bootstrap(steps, rng),
    }


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
            f"({low:.1%} … {high:.1%}) | {gain} | {_steps(row['median_steps_success'])} | "
            f"{_steps(row['p90_steps_success'])} |"
        )
    return "\n".join(lines)


def _steps(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def training_table(rows: list[dict[str, Any]]) -> str:
    """The cost of training, row by row, as a Markdown table; empty if nothing was trained."""
    lines = [
        "| training | robot time | success | interventions per episode, by quarter | by a person |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "training" in row:
            cost = row["training"]
            quarters = ", ".join(f"{mean:.2f}" for mean in cost["interventions_per_episode"])
            lines.append(
                f"| {row['row']} | {cost['robot_seconds'] / 60:.1f} min | "
                f"{cost['success_rate']:.1%} | {quarters} | {cost['human_share']:.1%} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""


def sentence(comparison: dict[str, Any]) -> str:
    """A comparison of `against` as a sentence."""
    low, high = comparison["ci95"]
    fewest, most = comparison["steps_ci95"]
    return (
        f"With the person minus without, {comparison['pairs']} paired episodes: success "
        f"{comparison['success_rate']:+.1%} ({low:+.1%} … {high:+.1%}), mean steps "
        f"{comparison['steps']:+.1f} ({fewest:+.1f} … {most:+.1f}); a failure counts as the limit."
    )


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, run the rows, print the table."""
    parser = argparse.ArgumentParser(
        prog="ros2 run rlt_learner benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--task", default="ethernet", help="its name, or the path of its file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the runs")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="table rows")
    parser.add_argument("--model", type=path_of, help="model folder in place of the installed one")
    parser.add_argument("--output", type=path_of, help="also write the rows as JSON")
    options = parser.parse_args(arguments)
    try:
        defaults = installed(options.task)
        if options.model:
            defaults = dataclasses.replace(defaults, model=options.model)
        rows: list[dict[str, Any]] = []
        results: dict[str, list[EpisodeResult]] = {}
        for name in options.rows:
            if name in ("demonstrator", "clean"):
                faults = name == "demonstrator"
                results[name] = expert_runs(defaults, options.seeds, faults)
            else:
                results[name] = train_runs(defaults, options.seeds, name)
            rows += figures(name, results[name], defaults)
        comparison = None
        if {"rlt", "rlt_person"} <= results.keys():
            limit = defaults.schedule.time_limit_ticks
            comparison = against(results["rlt"], results["rlt_person"], limit)
            next(row for row in rows if row["row"] == "rlt_person")["against_rlt"] = comparison
        if options.output:
            options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.exit(f"benchmark: error: {error}")
    print("\n\n".join(filter(None, (table(rows), training_table(rows)))))
    if comparison:
        print("\n" + sentence(comparison))


if __name__ == "__main__":
    main()
