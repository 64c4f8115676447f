"""Pictures of an episode: evenly spaced, from first to last, of that episode alone."""

import cv2
import numpy as np

from rlt_core.records import Observation
from rlt_learner.frames import FRAMES, FrameStrip


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
