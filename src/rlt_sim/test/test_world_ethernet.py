"""The plug and the socket: realistic contact, a socket that jams, correct labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_sim.demonstrator import move_setpoint
from rlt_sim.world import make_world
from rlt_sim.world.ethernet import RIM_HEIGHT, SUCCESS_DEPTH

CLEARANCE = 0.0003
PRESS_TICKS = 60
DOWN = np.array([0.0, 0.0, -1e-3, 0.0])


@pytest.fixture(scope="module")
def world():
    made = make_world("ethernet", clearance_m=CLEARANCE)
    yield made
    made.close()


def move_to(world, lateral, yaw=0.0):
    """Fly the plug to a lateral offset (x, y in m) and yaw over the socket, 2 mm above the rim."""
    wanted = np.array([*lateral, 0.002, yaw])
    for _ in range(150):
        state = world.state()
        step = 0.3 * (wanted - world.task_state().offset)
        world.step(move_setpoint(state.setpoint, step, state.tcp))
    np.testing.assert_allclose(world.task_state().offset, wanted, atol=5e-5)


def press(world, ticks=PRESS_TICKS):
    """Push down at full speed up to the largest tracking error; returns the deepest overlap [m]."""
    overlap = 0.0
    for _ in range(ticks):
        state = world.state()
        world.step(move_setpoint(state.setpoint, DOWN, state.tcp))
        if world.data.ncon:
            overlap = max(overlap, -float(world.data.contact.dist.min()))
        if world.task_state().success:
            break
    return overlap


@pytest.mark.parametrize("seed", range(3))
def test_an_aligned_plug_goes_in(world, seed):
    world.reset(seed)
    move_to(world, (0.0, 0.0))
    press(world)
    task = world.task_state()
    assert task.success
    assert task.depth_m >= SUCCESS_DEPTH
    assert task.depth_m == -task.offset[2]


@pytest.mark.parametrize(
    "lateral", [(0.001, 0), (0.002, 0), (0.003, 0), (0, 0.001), (0, -0.002), (0, 0.003)]
)
def test_an_offset_plug_jams_on_the_rim_at_full_force(world, lateral):
    world.reset(5)
    move_to(world, lateral)
    overlap = press(world)
    assert not world.task_state().success
    assert world.task_state().depth_m < 0.0003  # the tilted plug's tip dips no deeper
    assert world.state().wrench[2] < -7.0
    assert overlap < 0.25 * CLEARANCE


def test_a_turned_plug_jams_too(world):
    world.reset(5)
    move_to(world, (0.0, 0.0), yaw=np.deg2rad(8.0))
    press(world)
    assert not world.task_state().success


def test_the_walls_hold_an_inserted_plug(world):
    """Pushed sideways inside the socket the plug moves by the clearance and no more."""
    world.reset(1)
    move_to(world, (0.0, 0.0))
    press(world)
    for _ in range(PRESS_TICKS):
        state = world.state()
        push = np.array([1e-3, 0.0, 0.0, 0.0])
        world.step(move_setpoint(state.setpoint, push, state.tcp))
        assert world.task_state().offset[0] < 1.5 * CLEARANCE
    assert world.state().wrench[0] > 7.0


def lift(world, ticks=20):
    """Pull up until the plug is free of the rim."""
    for _ in range(ticks):
        state = world.state()
        world.step(move_setpoint(state.setpoint, -DOWN, state.tcp))


def test_the_third_hard_push_bends_the_contacts(world):
    world.reset(0)
    move_to(world, (0.002, 0.0))
    for push in range(1, 4):
        press(world)
        task = world.task_state()
        assert not task.success
        assert task.failure == (push == 3)
        lift(world)
    world.reset(0)
    assert not world.task_state().failure


def test_one_long_push_counts_once(world):
    world.reset(0)
    move_to(world, (0.002, 0.0))
    press(world, ticks=200)
    assert not world.task_state().failure


def test_beside_the_socket_is_not_inside(world):
    world.reset(0)
    socket = np.array([0.5, 0.0, RIM_HEIGHT, 0.0])
    world._place_plug(socket, np.array([0.030, 0.0, -0.013, 0.0]))
    assert not world.task_state().success


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_starts_lie_where_the_task_says(world, seed):
    world.reset(seed)
    x, y, z, yaw = world.task_state().offset
    assert max(abs(x), abs(y)) <= 0.008 + 1e-6
    assert 0.010 - 1e-6 <= z <= 0.016 + 1e-6
    assert abs(yaw) <= np.deg2rad(6.0) + 1e-6
    assert not world.task_state().success


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_scattered_pictures_stay_in_view_and_on_the_leash(world, seed):
    world.scatter(np.random.default_rng(seed))
    offset = world.task_state().offset
    assert np.abs(offset[:2]).max() < 0.012
    assert -0.0121 < offset[2] < 0.0181
    lead = np.abs(world.state().setpoint - world.state().tcp)
    # A tilted tool's heading differs from the yaw set-point by far less than a tenth of a degree.
    assert (lead <= [0.006001, 0.006001, 0.006001, np.deg2rad(6.1)]).all()


def test_scatter_draws_every_kind_and_repeats_itself(world):
    def depths(seed):
        rng = np.random.default_rng(seed)
        drawn = []
        for _ in range(60):
            world.scatter(rng)
            drawn.append(world.task_state().depth_m)
        return np.array(drawn)

    depth = depths(3)
    assert (depth > 0.002).any()  # partly inserted
    assert (np.abs(depth) < 1e-6).any()  # on the rim
    assert (depth < -0.005).any()  # free
    assert np.array_equal(depth, depths(3))


@pytest.mark.parametrize("clearance", [0.0, 0.1, -0.0004, float("nan")])
def test_an_impossible_clearance_is_refused(clearance):
    with pytest.raises(ValueError, match="clearance_m"):
        make_world("ethernet", clearance_m=clearance)


def test_home_is_one_pose_of_the_arm_above_the_critical_phase(world):
    home = make_world("ethernet", clearance_m=CLEARANCE, start="home")
    poses = []
    for seed in range(20):
        home.reset(seed)
        task = home.task_state()
        poses.append(home.state().tcp)
        assert not task.critical and task.offset[2] == pytest.approx(0.035, abs=1e-4)
        assert np.abs(task.offset[:2]).max() <= 0.010 + 1e-4
        world.reset(seed)
        np.testing.assert_allclose(  # the socket's place is the seed's, wherever the arm starts
            world.data.mocap_pos, home.data.mocap_pos, atol=0.0
        )
    np.testing.assert_allclose(poses, np.broadcast_to(poses[0], (20, 4)), atol=1e-6)
    home.close()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_critical_start_is_critical(world, seed):
    world.reset(seed)
    assert world.task_state().critical


def test_the_critical_phase_is_reached_on_the_way_down():
    home = make_world("ethernet", clearance_m=CLEARANCE, start="home")
    home.reset(3)
    heights = []
    for _ in range(40):
        heights.append((home.task_state().offset[2], home.task_state().critical))
        home.step(home.state().setpoint + DOWN)
    assert all(critical == (height <= 0.016) for height, critical in heights)
    assert {critical for _, critical in heights} == {False, True}
    home.close()


def test_an_unknown_start_is_refused():
    with pytest.raises(ValueError, match="critical or home, got 'kitchen'"):
        make_world("ethernet", start="kitchen")
