"""Realistic cameras: slow, late, jittering. The observer must make the best of them."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from camera_pictures import is_seen
from observer_drivers import MODEL, Camera, Drivers, changed_model

from rlt_node.conversions import image_from_msg, seconds
from rlt_policy.observer import observer_node

CAMERAS = ("wrist", "scene")
MAX_SKEW_S = 0.05


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(observer_node, "START_SECONDS", 2.0)


@pytest.mark.parametrize(
    ("stride", "cameras"),
    [
        (2, (Camera(1 / 30), Camera(1 / 30))),
        (2, (Camera(1 / 30, 0.03), Camera(1 / 30, 0.03))),
        (2, (Camera(1 / 30, 0.06), Camera(1 / 30, 0.01))),
        (5, (Camera(1 / 15, 0.06), Camera(1 / 30, 0.03))),
    ],
)
def test_cameras_that_are_slow_and_late_make_the_observations_that_are_due(
    tmp_path, capfd, stride, cameras
):
    model = changed_model(tmp_path, stride=stride)
    with closing(Drivers(model, dict(zip(CAMERAS, cameras, strict=True)))) as drivers:
        drivers.run_until(lambda: len(drivers.judged(stride)) >= 50, "observations due")
        came = drivers.judged(stride)
        assert sum(came) >= 0.95 * len(came), drivers.observer._health()
        for observation in list(drivers.seen.values())[10:]:
            stamps = dict(zip(observation.source_names, observation.source_stamps, strict=True))
            pose = seconds(stamps["tcp_pose"])
            assert observation.proprio[0] == pytest.approx(pose - drivers.epoch, abs=1e-3)
            apart = [abs(seconds(stamps[f"{name}/image_raw"]) - pose) for name in CAMERAS]
            assert max(apart) <= 2 * MAX_SKEW_S, apart
    assert "[WARN]" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (Camera(1 / 30, 0.15), ("is 0.1", "s behind tcp_", "set max_latency_s to 0.")),
        (Camera(1 / 30, clock=-0.4), ("is 0.", "s behind tcp_", "synchronise their clocks")),
        (Camera(1 / 30, clock=5.5), ("is 5.", "s ahead of tcp_", "synchronise their clocks")),
        (Camera(1 / 7), ("it arrives only every 0.1", "set max_age_s to 0.")),
    ],
)
def test_a_camera_that_cannot_work_is_said_once_with_the_remedy(tmp_path, capfd, camera, words):
    model = changed_model(tmp_path, stride=10)
    with closing(Drivers(model, {"wrist": camera, "scene": Camera(1 / 30)})) as drivers:
        drivers.run_until(lambda: len(drivers.sent) > 250, "five seconds of control steps")
    printed = capfd.readouterr().err
    errors = [line for line in printed.splitlines() if "[ERROR]" in line]
    assert len(errors) == 1, printed
    assert all(word in errors[0] for word in ("wrist/image_raw", *words)), printed


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (Camera(1 / 15), "an observation is due every 0.04 s (stride 2): some repeat"),
        (Camera(1 / 30, clock=None), "wrist/image_raw carries no stamps"),
    ],
)
def test_what_is_no_fault_and_still_to_be_known_is_said_once(capfd, camera, words):
    with closing(Drivers(MODEL, {"wrist": camera, "scene": Camera(1 / 30)})) as drivers:
        drivers.run_until(lambda: len(drivers.judged(2)) >= 50, "observations due")
        assert sum(drivers.judged(2)) >= 45, drivers.observer._health()
    printed = capfd.readouterr().err
    assert printed.count(words) == 1 and printed.count("[WARN]") == 1, printed


@pytest.mark.parametrize(
    ("encoding", "padding"),
    [
        ("bgr8", 0), ("rgba8", 0), ("mono8", 0), ("mono16", 0), ("yuyv", 0), ("uyvy", 0),
        ("nv12", 0), ("bayer_rggb8", 0), ("rgb8", 7), ("yuyv", 64),
    ],
)
def test_the_policy_sees_what_the_camera_saw_in_every_encoding(encoding, padding):
    cameras = {
        "wrist": Camera(1 / 30, encoding=encoding, padding=padding), "scene": Camera(1 / 30),
    }
    with closing(Drivers(MODEL, cameras)) as drivers:
        drivers.run_until(lambda: len(drivers.seen) >= 3, "three observations")
        for observation in drivers.seen.values():
            images = dict(zip(observation.camera_names, observation.images, strict=True))
            found = image_from_msg(images["wrist"])
            taken = drivers.pictures["wrist"]
            assert any(is_seen(found, picture, encoding) for picture in taken), found[::16, ::16]
            scene = image_from_msg(images["scene"])
            assert any(np.array_equal(scene, picture) for picture in drivers.pictures["scene"])


def test_a_camera_of_depth_is_refused_once_with_the_remedy(capfd):
    cameras = {"wrist": Camera(1 / 30, encoding="16UC1"), "scene": Camera(1 / 30)}
    with closing(Drivers(MODEL, cameras)) as drivers:
        drivers.run_until(lambda: len(drivers.judged(2)) >= 150, "three seconds of observations")
        assert not drivers.seen
    printed = capfd.readouterr().err
    errors = [line for line in printed.splitlines() if "[ERROR]" in line]
    assert len(errors) == 1, printed
    for word in ("wrist/image_raw", "'16UC1', which is depth", "use the camera's colour topic"):
        assert word in errors[0]
