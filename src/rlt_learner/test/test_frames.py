"""Pictures and curves: of the right episode, evenly spaced; a full disk costs only these."""

import dataclasses

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlt_core.records import EpisodeKind, EpisodeState, Observation, Outcome, Phase, Source
from rlt_learner.learner.tensorboard import TensorBoard
from rlt_learner.recorder.frames import FRAMES, FrameStrip, Pictures

EPISODE = EpisodeState(
    run="r", episode=1, kind=EpisodeKind.EVAL, phase=Phase.ENDED, acting=Source.ACTOR,
    explore=False, seed=0, tick=2, start_tick=0, end_tick=2, outcome=Outcome.SUCCESS,
)


def observation(tick):
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = tick  # red
    return Observation(tick, {"wrist": image}, np.zeros(1, np.float32))


def test_a_strip_runs_from_first_to_last_and_leaves_older_episodes_out(tmp_path):
    strip = FrameStrip(tmp_path / "frames", "eval")
    for tick in (80, 90, *range(100, 200, 10)):
        strip.add(observation(tick))
    strip.save(start_tick=100)
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"eval_wrist_{k}.png" for k in range(FRAMES)]
    red = [int(cv2.imread(str(file))[0, 0, 2]) for file in files]
    assert red[0] == 100 and red[-1] == 190
    assert red == sorted(red)


def test_pictures_that_cannot_be_saved_are_said_and_given_up(tmp_path):
    (tmp_path / "frames").write_text("no folder")
    said = []
    pictures = Pictures(tmp_path / "frames", said.append)
    assert pictures.begin(EPISODE)
    pictures.add(observation(1))
    assert pictures.end(EPISODE) and pictures.strip is None
    assert len(said) == 1 and "pictures of episode 1" in said[0]


@pytest.mark.parametrize(
    ("outcome", "judge"),
    [(Outcome.NONE, "discard"), (Outcome.TRUNCATED, "abort"), (Outcome.TRUNCATED, "held")],
)
def test_an_episode_that_counts_nowhere_is_in_no_curve(tmp_path, outcome, judge):
    scalars = TensorBoard(tmp_path, pytest.fail)
    cut = dataclasses.replace(EPISODE, outcome=outcome, label_source=judge)
    late = dataclasses.replace(EPISODE, episode=2, outcome=Outcome.FAILURE)
    for state in (cut, late):
        scalars.episode("", state)
    scalars.close()
    curves = EventAccumulator(str(tmp_path)).Reload()
    assert [each.step for each in curves.Scalars("eval/success")] == [2]
    assert [each.step for each in curves.Scalars("eval/steps")] == [2]


def test_curves_that_cannot_be_written_are_said_once_and_given_up(tmp_path):
    (tmp_path / "tensorboard").write_text("no folder")
    said = []
    scalars = TensorBoard(tmp_path / "tensorboard", said.append)
    for _ in range(3):
        scalars.episode("", EPISODE)
    scalars.close()
    assert len(said) == 1 and "curves cannot be written" in said[0]
