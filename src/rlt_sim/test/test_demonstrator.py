"""The expert: fast when clean, human when faulty, the same for the same seed, within limits."""

import numpy as np
import pytest

from rlt_sim.demonstrator import (
    MAX_INCREMENT,
    MAX_TRACKING_ERROR,
    Demonstrator,
    move_setpoint,
    rollout,
)
from rlt_sim.world import make_world

LIMIT = 480


@pytest.fixture(scope="module")
def world():
    made = make_world("ethernet")
    yield made
    made.close()


@pytest.fixture(scope="module")
def clean(world):
    return [rollout(world, Demonstrator(s, faults=False), s, LIMIT, 0) for s in range(10)]


@pytest.fixture(scope="module")
def faulty(world):
    return [rollout(world, Demonstrator(s), s, LIMIT, 0) for s in range(20)]


def test_the_clean_expert_is_the_floor(clean):
    assert sum(demo.success for demo in clean) >= 9
    assert np.median([demo.ticks for demo in clean]) < 50


def test_the_faulty_expert_succeeds_slowly_and_after_jams(clean, faulty):
    assert 8 <= sum(demo.success for demo in faulty) < len(faulty)  # some bend the contacts
    floor = np.median([demo.ticks for demo in clean])
    assert np.median([demo.ticks for demo in faulty if demo.success]) > 3 * floor
    jammed = [demo for demo in faulty if (demo.proprio[:, 6] < -5.0).any()]
    assert len(jammed) >= 5
    # After a jam it backs off.
    assert all((demo.actions[:, 2] > 0.0).any() for demo in jammed if demo.success)


def test_executed_increments_keep_the_limits(faulty):
    for demo in faulty:
        assert (np.abs(demo.actions) <= MAX_INCREMENT + 1e-6).all()


def test_arrays_agree_in_length_and_the_record_is_what_happened(world):
    demo = rollout(world, Demonstrator(3), 3, LIMIT, image_stride=7)
    assert demo.proprio.shape == (demo.ticks, 8) and demo.proprio.dtype == np.float32
    assert demo.actions.shape == demo.offsets.shape == (demo.ticks, 4)
    assert set(demo.images) == set(world.camera_names)
    for frames in demo.images.values():
        assert frames.shape == (-(-demo.ticks // 7), 64, 64, 3)
    world.reset(3)
    np.testing.assert_array_equal(demo.images["wrist"][0], world.render(["wrist"])["wrist"])
    np.testing.assert_allclose(demo.offsets[0], world.task_state().offset, atol=1e-6)
    setpoint = world.state().setpoint
    for action in demo.actions:
        setpoint = setpoint + action
        world.step(setpoint)
    assert world.task_state().success == demo.success


def test_the_same_seed_gives_the_same_demonstration(world):
    first = rollout(world, Demonstrator(5), 5, 150, image_stride=50)
    again = rollout(world, Demonstrator(5), 5, 150, image_stride=50)
    assert np.array_equal(first.actions, again.actions)
    assert np.array_equal(first.images["scene"], again.images["scene"])
    other = rollout(world, Demonstrator(6), 5, 150, 0)
    assert not np.array_equal(first.actions[:50], other.actions[:50])


def test_a_setpoint_never_leaves_its_leash():
    tcp = np.array([0.5, 0.0, 0.05, 0.1])
    far = move_setpoint(tcp + MAX_TRACKING_ERROR, np.full(4, 1.0), tcp)
    np.testing.assert_allclose(far, tcp + MAX_TRACKING_ERROR)
    near = move_setpoint(tcp, np.full(4, -1.0), tcp)
    np.testing.assert_allclose(near, tcp - MAX_INCREMENT)
