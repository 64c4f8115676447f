"""The report's figures as SVG text, to be embedded in an HTML page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

BASE_COLOUR = "#8a94a6"
RLT_COLOUR = "#0b7a75"
FAILURE_COLOUR = "#d1603d"
HUMAN_COLOUR = "#7a4fa3"
GRID_COLOUR = "#e6e9ee"
TEXT_COLOUR = "#3b4252"

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rlt",  # the same data give the same file
    "font.family": ["sans-serif"],
    "font.size": 10.0,
    "axes.edgecolor": GRID_COLOUR,
    "axes.labelcolor": TEXT_COLOUR,
    "text.color": TEXT_COLOUR,
    "xtick.color": TEXT_COLOUR,
    "ytick.color": TEXT_COLOUR,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID_COLOUR,
    "legend.frameon": False,
}

SUCCESS, STEPS, TAKEOVERS = 1, 2, 3  # columns of a curve

Level = tuple[float, tuple[float, float]]
"""A rate and its 95 % interval."""


def rolling_mean(
    curve: NDArray[np.float64], column: int, window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return episode numbers and the column's mean over the `window` episodes up to each.

    Only full windows count, so the first mean is at episode `window`.
    """
    mean = np.convolve(curve[:, column], np.full(window, 1.0 / window), mode="valid")
    return curve[window - 1 :, 0], mean


def learning_curve(
    curves: Sequence[NDArray[np.float64]],
    *,
    warmup_episodes: int,
    window: int,
    base: Level | None,
    rlt: Level | None,
) -> str:
    """Draw success and length of the training episodes, and takeovers where there were any.

    Args:
        curves: One array (episodes, 4) per run with columns episode number within training from 1,
            success 0 or 1, steps in control ticks, and takeovers.
        warmup_episodes: Episodes of the base policy at the start of each run; shaded.
        window: Episodes over which success and steps are averaged; at most the shortest run.
        base: Success rate and interval of the base policy in evaluation, or None.
        rlt: The same of the trained policy.

    Returns:
        SVG text.
    """
    with matplotlib.rc_context(STYLE):
        helped = any(curve[:, TAKEOVERS].any() for curve in curves)
        heights = [1.15, 0.75, 1.0] if helped else [1.15, 1.0]
        figure = Figure(figsize=(9.2, 2.5 * sum(heights)), layout="constrained")
        success, *takeovers, steps = figure.subplots(
            len(heights), 1, sharex=True, height_ratios=heights
        )
        _draw_levels(success, base, rlt)
        pooled = len(curves) > 1
        for curve in curves:
            thin = {"linewidth": 1.0, "alpha": 0.45} if pooled else {"linewidth": 2.2}
            episode, rate = rolling_mean(curve, SUCCESS, window)
            success.plot(episode, 100.0 * rate, color=RLT_COLOUR, **thin)
            for axis in takeovers:
                axis.plot(
                    *rolling_mean(curve, TAKEOVERS, window), color=HUMAN_COLOUR, **thin
                )
            _draw_steps(steps, curve, small=pooled)
        shared = min(len(curve) for curve in curves)
        mean = np.mean([curve[:shared] for curve in curves], axis=0)
        if pooled:
            episode, rate = rolling_mean(mean, SUCCESS, window)
            success.plot(episode, 100.0 * rate, color=RLT_COLOUR, linewidth=2.4)
            for axis in takeovers:
                axis.plot(
                    *rolling_mean(mean, TAKEOVERS, window), color=HUMAN_COLOUR, linewidth=2.4
                )
        steps.plot(
            *rolling_mean(mean, STEPS, window), color=TEXT_COLOUR, linewidth=1.6,
            label=f"mean of {window}" + (", all runs" if pooled else ""),
        )
        for axis in takeovers:
            axis.set_ylim(bottom=0)
            axis.set_ylabel(f"takeovers per\nepisode, last {window}")
        _shade_warmup([success, *takeovers, steps], warmup_episodes)
        success.set(ylim=(-3, 103), ylabel=f"success, % of last {window}")
        longest = max(float(curve[:, STEPS].max()) for curve in curves)
        steps.set(ylim=(0, 1.22 * longest), ylabel="steps per episode", xlabel="training episode")
        steps.legend(loc="upper right", ncols=3, fontsize=9, handletextpad=0.4)
        return _svg(figure)


def length_histogram(
    groups: Sequence[tuple[str, NDArray[np.float64], int]], time_limit: int
) -> str:
    """Draw how long the evaluation episodes took.

    Args:
        groups: Per policy its name, the steps of its successes in control ticks, and the number
            of its failures.
        time_limit: Longest episode in control ticks, held ones not counted.

    Returns:
        SVG text.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 1.0 + 1.55 * len(groups)), layout="constrained")
        axes = figure.subplots(len(groups), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        # A robot that was held for a while may succeed after more ticks than the limit.
        longest = max([time_limit, *(steps.max(initial=0) for _, steps, _ in groups)])
        edges = np.linspace(0, longest, 41)
        failure_x = longest * 1.05
        for axis, (name, steps, failures) in zip(axes, groups, strict=True):
            colour = BASE_COLOUR if name == "base" else RLT_COLOUR
            axis.hist(steps, bins=edges, color=colour, rwidth=0.92)
            if failures:
                axis.bar(failure_x, failures, width=longest * 0.03, color=FAILURE_COLOUR)
            axis.annotate(
                f"{failures} failed", (failure_x, failures), ha="center", va="bottom",
                fontsize=9, color=FAILURE_COLOUR, xytext=(0, 2), textcoords="offset points",
            )
            if len(steps):
                median = float(np.median(steps))
                axis.axvline(median, color=TEXT_COLOUR, linewidth=1.2, linestyle=(0, (4, 3)))
                axis.annotate(
                    f"median of successes {median:.0f}", (median, 1.0), fontsize=9, va="top",
                    xycoords=("data", "axes fraction"), xytext=(5, 0), textcoords="offset points",
                )
            axis.set(ylabel=f"{name}: episodes")
            axis.grid(axis="x", visible=False)
            axis.margins(y=0.18)
        axes[-1].set(xlim=(0, longest * 1.1), xlabel="steps to success, control ticks")
        return _svg(figure)


def _draw_levels(axis: Axes, base: Level | None, rlt: Level | None) -> None:
    for level, colour, name in ((base, BASE_COLOUR, "base"), (rlt, RLT_COLOUR, "RLT")):
        if level is None:
            continue
        rate, (low, high) = level
        axis.axhspan(100 * low, 100 * high, color=colour, alpha=0.13, linewidth=0)
        axis.axhline(
            100 * rate, color=colour, linewidth=1.2, linestyle=(0, (4, 3)),
            label=f"{name}, evaluated: {100 * rate:.0f} %",
        )
    if base is not None or rlt is not None:
        axis.legend(loc="lower right", fontsize=9)


def _draw_steps(axis: Axes, curve: NDArray[np.float64], *, small: bool) -> None:
    size = 6 if small else 13
    won = curve[:, SUCCESS] > 0.5
    for mask, colour, name in ((won, RLT_COLOUR, "success"), (~won, FAILURE_COLOUR, "failure")):
        axis.scatter(
            curve[mask, 0], curve[mask, STEPS], s=size, color=colour, alpha=0.55, linewidths=0,
            label=None if axis.get_legend_handles_labels()[1].count(name) else name,
        )


def _shade_warmup(axes: Sequence[Axes], warmup_episodes: int) -> None:
    if warmup_episodes == 0:
        return
    for axis in axes:
        axis.axvspan(0.5, warmup_episodes + 0.5, color=BASE_COLOUR, alpha=0.10, linewidth=0)
    axes[0].annotate(
        "warm-up: base policy", (warmup_episodes / 2 + 0.5, 0.0), ha="center",
        xycoords=("data", "axes fraction"), xytext=(0, 6), textcoords="offset points", fontsize=9,
    )


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg"):]
