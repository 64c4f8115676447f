"""The arm, its compliant controller, its cameras: what every task's world promises."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_sim.world import TASKS, arm, make_world

TICK = np.array([1e-3, 1e-3, 1e-3, np.deg2rad(1.0)])
SETTLE_TICKS = 40


@pytest.fixture(scope="module")
def world():
    made = make_world("ethernet")
    yield made
    made.close()


def run_episode(world, seed, ticks=30):
    """Everything observable in a random episode: states, offsets, the last images."""
    world.reset(seed)
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(ticks):
        world.step(world.state().setpoint + rng.uniform(-1.0, 0.5, 4) * TICK)
        state = world.state()
        seen += [state.tcp, state.wrench, state.joint_velocities, world.task_state().offset]
    return np.concatenate(seen), world.render()


@pytest.mark.parametrize("task", sorted(TASKS))
def test_same_seed_same_episode_bit_for_bit(task):
    with_history = make_world(task)
    run_episode(with_history, 11)
    with_history.scatter(np.random.default_rng(0))
    numbers, images = run_episode(with_history, 7)
    fresh_numbers, fresh_images = run_episode(make_world(task), 7)
    assert np.array_equal(numbers, fresh_numbers)
    assert all(np.array_equal(images[name], fresh_images[name]) for name in images)


def test_other_seed_other_episode(world):
    world.reset(1)
    first = world.task_state().offset
    world.reset(2)
    assert not np.allclose(first, world.task_state().offset)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_episode_starts_at_rest_on_its_setpoint(world, seed):
    world.reset(seed)
    state = world.state()
    np.testing.assert_allclose(state.tcp, state.setpoint, atol=1e-6)
    np.testing.assert_allclose(state.wrench, 0.0, atol=1e-2)
    world.step(state.setpoint)
    np.testing.assert_allclose(world.state().tcp, state.tcp, atol=1e-5)


@pytest.mark.parametrize("axis", range(4), ids=arm.AXIS_NAMES)
def test_tracks_full_speed_within_five_ticks_and_settles(world, axis):
    world.reset(0)
    goal = world.state().setpoint
    direction = np.eye(4)[axis] * TICK
    for _ in range(15):
        goal = goal + direction
        world.step(goal)
        lag = (goal - world.state().tcp)[axis] / TICK[axis]
        assert 0.0 < lag < 5.0
    for _ in range(SETTLE_TICKS):
        world.step(goal)
    np.testing.assert_allclose(world.state().tcp, goal, atol=1e-4)  # no cross-talk either


def test_forces_are_limited_and_reported_as_commanded(world):
    world.reset(0)
    state = world.state()
    world.step(state.setpoint + [0.001, -0.001, 0.002, 0.01])
    state = world.state()
    np.testing.assert_allclose(state.wrench, arm.STIFFNESS * (state.setpoint - state.tcp))
    world.step(state.setpoint + [0.1, -0.1, 0.1, 1.0])
    assert np.abs(world.data.actuator_force[:4]).max() <= arm.FORCE_LIMIT.max() + 1e-9
    assert (np.abs(world.state().wrench) <= arm.FORCE_LIMIT).all()
    assert np.abs(world.state().wrench[:3]).max() == arm.FORCE_LIMIT[0]


@pytest.mark.parametrize("bad", [np.full(4, np.nan), np.zeros(3), [0.0, 0.0, np.inf, 0.0]])
def test_a_setpoint_that_is_no_pose_is_refused(world, bad):
    world.reset(0)
    before = world.state().tcp
    with pytest.raises(ValueError, match="4 finite numbers"):
        world.step(bad)
    assert np.array_equal(world.state().tcp, before)


def test_states_are_copies(world):
    world.reset(0)
    world.state().tcp[:] = 0.0
    world.state().setpoint[:] = 0.0
    world.state().joint_positions[:] = 0.0
    assert world.state().tcp[2] > 0.0
    assert world.state().setpoint[2] > 0.0
    assert np.abs(world.state().joint_positions).max() > 0.1


def test_images_have_shape_and_the_cameras_differ(world):
    world.reset(0)
    images = world.render()
    assert tuple(images) == world.camera_names
    for image in images.values():
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert image.std() > 10.0
    assert np.abs(images["wrist"].astype(int) - images["scene"]).mean() > 10.0
    assert list(world.render(["scene"])) == ["scene"]
    assert world.render_view("overview", 160, 120).shape == (120, 160, 3)


def test_cameras_see_orthogonal_motion(world):
    """The wrist camera looks along base y, the scene camera along base x."""
    world.reset(0)
    world.render()
    along = {}
    for name in world.camera_names:
        forward = -world.data.cam_xmat[world.model.camera(name).id].reshape(3, 3)[:, 2]
        along[name] = forward[:2] / np.linalg.norm(forward[:2])
    assert abs(along["wrist"] @ along["scene"]) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_out_of_the_policys_images_is_out_of_view(world, seed):
    world.reset(seed)
    for name, image in world.render().items():
        assert np.array_equal(image, world.render_view(name, 64, 64))


def test_unknown_names_are_refused_and_the_known_ones_listed(world):
    with pytest.raises(ValueError, match="knitting.*ethernet"):
        make_world("knitting")
    with pytest.raises(ValueError, match="rear.*scene, overview, wrist"):
        world.render(["rear"])


def test_a_machine_without_opengl_has_physics_and_says_what_to_install():
    program = (
        "from rlt_sim.world import make_world\n"
        "world = make_world('ethernet'); world.reset(0); world.step(world.state().setpoint)\n"
        "try:\n    world.render()\nexcept RuntimeError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MUJOCO_GL": "disable", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "apt-get install" in done.stdout and "libegl1" in done.stdout


def platform(**environment) -> subprocess.CompletedProcess:
    """The value of MUJOCO_GL in a process that imports the world."""
    return subprocess.run(
        [sys.executable, "-c", "import os, rlt_sim.world; print(os.environ['MUJOCO_GL'])"],
        env={
            **{k: v for k, v in os.environ.items() if k not in ("PYOPENGL_PLATFORM", "DISPLAY",
                                                                "WAYLAND_DISPLAY")},
            "PYTHONPATH": os.pathsep.join(sys.path), **environment,
        },
        capture_output=True, text=True, timeout=120,
    )


def test_the_platform_is_chosen_and_the_users_choice_wins():
    for wish, chosen in (("", ("egl", "osmesa")), ("disable", ("disable",))):
        done = platform(MUJOCO_GL=wish)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() in chosen


@pytest.mark.parametrize(
    ("wish", "reason"),
    [("glfw", "there is no display"), ("elg", "MuJoCo knows egl, osmesa, glfw and disable")],
)
def test_a_choice_that_cannot_work_is_named(wish, reason):
    said = platform(MUJOCO_GL=wish).stderr.splitlines()[-1]
    assert f"MUJOCO_GL={wish} cannot render here: {reason}; fix or unset it" in said
