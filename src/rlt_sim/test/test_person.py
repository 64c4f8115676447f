"""The scripted person: helps a robot that stalls, smoothly, and labels the end like a person."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlt_sim.demonstrator import MAX_INCREMENT, Demonstrator, move_setpoint
from rlt_sim.person import PersonSettings, ScriptedPerson
from rlt_sim.sticks import HELD_TICKS
from rlt_sim.world import make_world

LIMIT = 480
RATE_HZ = 50.0
EPISODES = 20
SPREAD = 1.3  # of speed and reaction time, as a factor


@pytest.fixture(scope="module")
def world():
    made = make_world("ethernet")
    yield made
    made.close()


def task(height=0.010, success=False, failure=False, critical=True, lateral=0.002):
    return SimpleNamespace(
        success=success, failure=failure, critical=critical,
        offset=np.array([lateral, 0.0, height, 0.0]),
    )


def robot(push=0.0):
    return SimpleNamespace(wrench=np.array([0.0, 0.0, -push, 0.0]))


def episode(world, seed, person):
    """One episode driven by the demonstrator; the person may take over.

    Returns success, and per tick what the person did.
    """
    world.reset(seed)
    driver = Demonstrator(seed)
    actions = []
    for _ in range(LIMIT):
        state, judged = world.state(), world.task_state()
        wanted = driver.act(judged, state)
        if person is not None:
            actions.append(person.act(judged, state, running=True))
            if actions[-1].takeover:
                wanted = actions[-1].increment
        world.step(move_setpoint(state.setpoint, wanted, state.tcp))
        if world.task_state().success or world.task_state().failure:
            break
    return world.task_state().success, actions


@pytest.fixture(scope="module")
def helped(world):
    return [episode(world, seed, ScriptedPerson(seed)) for seed in range(EPISODES)]


def test_the_person_helps(world, helped):
    alone = sum(episode(world, seed, None)[0] for seed in range(EPISODES))
    together = sum(success for success, _ in helped)
    assert together >= 19 and together - alone >= 6, (alone, together)


def test_motion_is_smooth_and_within_the_persons_speed(helped):
    fastest = SPREAD * PersonSettings().speed * MAX_INCREMENT
    for _, actions in helped:
        sticks = np.array([np.zeros(4), *(action.increment for action in actions)])
        assert (np.abs(sticks) <= 1.1 * fastest).all()  # the tremor comes on top
        step = np.abs(np.diff(sticks, axis=0)) / MAX_INCREMENT
        jerk = np.abs(np.diff(sticks, 2, axis=0)) / MAX_INCREMENT
        assert step.max(initial=0) < 0.25 and jerk.max(initial=0) < 0.2


def test_the_sticks_rest_while_the_button_is_up_and_when_it_is_let_go(helped):
    released = 0
    for _, actions in helped:
        for before, after in zip(actions, actions[1:], strict=False):
            assert after.takeover or not after.increment.any()
            if before.takeover and not after.takeover:
                released += 1
                assert (np.abs(before.increment) < 0.05 * MAX_INCREMENT).all()
    assert released  # some hand back, and the robot goes on alone


def test_takeovers_last_some_come_and_not_all_episodes_need_one(helped):
    starts = []
    for _, actions in helped:
        held = np.array([False, *(action.takeover for action in actions)])
        starts.append(int((held[1:] & ~held[:-1]).sum()))
        assert sum(held) == 0 or sum(held) > 10
    assert 0.3 * EPISODES < sum(count > 0 for count in starts) < EPISODES
    assert max(starts) <= 3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), push=st.sampled_from([0.0, 3.0, 8.0]))
def test_one_seed_is_one_person(seed, push):
    first, again = ScriptedPerson(seed), ScriptedPerson(seed)
    for k in range(250):
        seen = task(height=max(0.0, 0.010 - 0.0002 * k))
        a, b = (person.act(seen, robot(push), running=True) for person in (first, again))
        assert (a.takeover, a.presses) == (b.takeover, b.presses)
        np.testing.assert_array_equal(a.increment, b.increment)


def test_another_seed_is_another_person():
    def starts(seed):
        person = ScriptedPerson(seed)
        return next(k for k in range(LIMIT) if person.act(task(), robot(), running=True).takeover)

    assert len({starts(seed) for seed in range(8)}) > 3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_robot_that_gets_on_is_left_alone(seed):
    person = ScriptedPerson(seed)
    for k in range(LIMIT):
        away = 0.2 - 0.0004 * k  # comes closer by 0.4 mm per tick
        assert not person.act(task(height=away), robot(push=3.0), running=True).takeover


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_stall_is_noticed_after_patience_and_reaction_time(seed):
    person, rules = ScriptedPerson(seed), PersonSettings()
    taken = next(k for k in range(LIMIT) if person.act(task(), robot(), running=True).takeover)
    earliest = (0.85 * rules.patience_s + 0.7 * rules.reaction_s) * RATE_HZ - 2
    latest = (1.15 * rules.patience_s + 1.3 * rules.reaction_s) * RATE_HZ + 2
    assert earliest <= taken <= latest


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_person_steps_in_at_the_second_hard_push_at_the_latest(seed):
    person = ScriptedPerson(seed)
    pushes = [5.0 if k // 12 % 2 else 0.0 for k in range(72)]  # hard pushes begin at 12, 36, 60
    held = [
        person.act(task(height=0.0), robot(push), running=True).takeover for push in pushes
    ]
    taken = held.index(True)
    assert 12 < taken < 60 and all(held[taken:])


@pytest.mark.parametrize(
    ("end", "right"), [({"success": True}, "success"), ({"failure": True}, "failure")]
)
@pytest.mark.parametrize("wrong", [0.0, 1.0])
@pytest.mark.parametrize("running", [True, False])
def test_the_end_is_labelled_once_after_a_reaction_and_an_error_corrected(
    end, right, wrong, running
):
    person = ScriptedPerson(3, PersonSettings(wrong_label=wrong))
    for _ in range(20):
        assert not person.act(task(), robot(), running=True).presses
    presses = {}
    for k in range(60):
        for button in person.act(task(**end), robot(), running and not presses).presses:
            presses[button] = k
    other = {"success": "failure", "failure": "success"}[right]
    assert list(presses) == ([other, right] if wrong else [right])
    earliest = 0.7 * PersonSettings().reaction_s * RATE_HZ - 2
    assert min(presses.values()) >= earliest
    assert person.satisfied
    if wrong:
        assert presses[right] - presses[other] > HELD_TICKS


def test_a_label_that_nobody_heeds_is_pressed_again():
    person = ScriptedPerson(3, PersonSettings(wrong_label=0.0))
    pressed = [
        k for k in range(150) if person.act(task(success=True), robot(), running=True).presses
    ]
    assert len(pressed) == 3 and min(np.diff(pressed)) > 40


def test_a_verdict_that_was_only_stale_is_not_labelled():
    person = ScriptedPerson(3)
    for _ in range(5):
        person.act(task(success=True), robot(), running=True)
    assert not any(person.act(task(), robot(), running=True).presses for _ in range(60))


def test_an_episode_that_was_cut_is_not_labelled():
    person = ScriptedPerson(3)
    person.act(task(), robot(), running=True)
    assert not any(person.act(task(), robot(), running=False).presses for _ in range(60))
    assert person.satisfied


def test_a_person_whom_the_robot_ignores_lets_go_and_presses_again():
    person = ScriptedPerson(3)
    held = np.array(
        [person.act(task(lateral=0.004), robot(), running=True).takeover for _ in range(400)]
    )
    pressed, released = np.flatnonzero(np.diff(held.astype(int)) == 1), np.flatnonzero(
        np.diff(held.astype(int)) == -1
    )
    assert len(pressed) >= 3 and len(released) >= 2
    assert released[0] - pressed[0] >= 50 and pressed[1] - released[0] >= 10


def test_who_has_labelled_the_end_lets_go_of_the_robot():
    person = ScriptedPerson(3)
    while not person.act(task(), robot(), running=True).takeover:
        pass
    held = []
    for _ in range(60):
        action = person.act(task(success=True), robot(), running=True)
        held.append(action.takeover)
        if action.presses:
            break
    assert all(held[:-1]) and not held[-1]
    assert not person.act(task(success=True), robot(), running=True).takeover


def test_who_only_labels_never_takes_over():
    person = ScriptedPerson(3, intervenes=False)
    assert not any(person.act(task(), robot(6.0), running=True).takeover for _ in range(LIMIT))


def test_the_robot_is_handed_over_when_the_critical_phase_is_reached():
    person = ScriptedPerson(3)
    pressed = [
        person.act(task(critical=k > 30), robot(), running=True, approach=k < 60).presses
        for k in range(100)
    ]
    assert sum("handover" in presses for presses in pressed) == 1
    assert 30 < pressed.index(("handover",)) < 60
