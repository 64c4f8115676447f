"""Settings accept values as users write them, and reject others with one sentence."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from rlt_core.settings import AgentSettings, TrainingSettings, build, setting


@dataclass(frozen=True)
class Folders:
    model: str = setting("", "a folder", path=True)
    task: str = setting("", "no path")
    gains: list[float] = setting([], "several numbers")


@pytest.mark.parametrize(
    ("settings", "name", "written", "meant"),
    [
        (AgentSettings, "gamma", 1, 1.0),
        (AgentSettings, "learning_rate", "3e-4", 3e-4),  # YAML reads 3e-4 as text, ROS as a number
        (AgentSettings, "batch_size", 64.0, 64),
        (TrainingSettings, "replay_capacity", 2e5, 200_000),
        (Folders, "gains", [1, 1, 0.5, 1], [1.0, 1.0, 0.5, 1.0]),
        (Folders, "model", "~/model", os.path.expanduser("~/model")),
        (Folders, "task", "~/model", "~/model"),
    ],
)
def test_values_as_people_write_them(settings, name, written, meant):
    found = getattr(build(settings, {name: written}), name)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("settings", "name", "written", "sentence"),
    [
        (AgentSettings, "gamma", "much", "gamma is 'much', expected a number"),
        (AgentSettings, "gamma", True, "gamma is True, expected a number"),
        (AgentSettings, "batch_size", 2.5, "batch_size is 2.5, expected a whole number"),
        (AgentSettings, "batch_size", float("inf"), "batch_size is inf, expected a whole number"),
        (Folders, "gains", 1.0, "gains is 1.0, expected a list, each a number"),
        (Folders, "gains", None, "gains is None, expected a list"),
        (Folders, "task", 7, "task is 7, expected text .* in quotes"),
    ],
)
def test_what_means_nothing_is_a_sentence(settings, name, written, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(settings, {name: written})
