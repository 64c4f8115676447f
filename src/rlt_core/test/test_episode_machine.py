"""Schedule, phases and labels of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.control.rejection import UNJUDGED
from rlt_core.episodes.episode_machine import EpisodeMachine
from rlt_core.episodes.episode_result import EpisodeResult
from rlt_core.episodes.schedule import make_schedule
from rlt_core.records import KEPT_EPISODES, EpisodeKind, Outcome, Phase, Source
from rlt_core.settings import ScheduleSettings

CHUNK = 10
LIMIT = 50
APPROACH = 70
NEEDS_ID = 6


def make_settings(**changes):
    values = {
        "base_eval_episodes": 2, "episodes": 5, "eval_episodes": 2, "time_limit_ticks": LIMIT,
        "approach_limit_ticks": APPROACH, "label_needs_id_ticks": NEEDS_ID,
    }
    return ScheduleSettings(**{**values, **changes})


def make_machine(**changes):
    return EpisodeMachine("run", make_settings(**changes), warmup_episodes=2, chunk=CHUNK)


def running(start=0, **changes):
    machine = make_machine(**changes)
    machine.next()
    machine.begin(start)
    return machine


def running_full_task(kind, start=0):
    """A full-task run in the approach of its first episode of a kind."""
    counts = {"base_eval_episodes": 1 * (kind is EpisodeKind.BASE_EVAL), "full_task": True}
    if kind is EpisodeKind.EVAL:
        counts |= {"episodes": 0}
    machine = make_machine(**counts)
    while machine.next().kind is not kind:
        machine.begin(machine.state.tick)
        machine.abort()
    machine.begin(start)
    return machine


def ended(success=True, ticks=7):
    machine = running()
    machine.observe(ticks, success)
    if not success:
        machine.label(False)
    return machine


def test_schedule_is_base_evaluation_warmup_training_evaluation():
    kinds = [plan.kind for plan in make_schedule(make_settings(), 2)]
    assert kinds == (
        [EpisodeKind.BASE_EVAL] * 2
        + [EpisodeKind.WARMUP] * 2
        + [EpisodeKind.TRAIN] * 3
        + [EpisodeKind.EVAL] * 2
    )
    assert [plan.episode for plan in make_schedule(make_settings(), 2)] == list(range(1, 10))


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 50))
def test_evaluations_are_paired_and_share_no_seed_with_training_or_other_runs(seed, other, count):
    def seeds(run_seed, kinds):
        plans = make_schedule(make_settings(seed=run_seed, eval_episodes=count,
                                            base_eval_episodes=count, episodes=60), 20)
        return [plan.seed for plan in plans if plan.kind in kinds]

    train = seeds(seed, (EpisodeKind.WARMUP, EpisodeKind.TRAIN))
    evaluation = seeds(seed, (EpisodeKind.EVAL,))
    assert evaluation == seeds(seed, (EpisodeKind.BASE_EVAL,))
    assert len({*train, *evaluation}) == 60 + count
    if seed != other:
        assert not {*train, *evaluation} & set(seeds(other, tuple(EpisodeKind)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"episodes": 2}, "raise episodes or lower warmup_episodes"),
        ({"episodes": 0, "eval_episodes": 0, "base_eval_episodes": 0}, "no episode"),
        ({"eval_episodes": 500_001}, "at most"),
    ],
)
def test_an_impossible_schedule_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make_machine(**changes)


def test_an_evaluation_alone_is_a_schedule():
    machine = make_machine(episodes=0, base_eval_episodes=0)
    assert [plan.kind for plan in machine.schedule] == [EpisodeKind.EVAL] * 2


def test_a_run_goes_through_its_phases():
    machine = make_machine()
    assert machine.state.phase is Phase.IDLE
    tick = 0
    while machine.next().phase is not Phase.FINISHED:
        assert machine.state.phase is Phase.RESETTING
        state = machine.begin(tick)
        assert (state.phase, state.tick, state.start_tick) == (Phase.RUNNING, tick, tick)
        state = machine.observe(tick + 12, success=True)
        assert (state.phase, state.end_tick, state.outcome) == (
            Phase.ENDED, tick + 12, Outcome.SUCCESS
        )
        tick += 20
    results = machine.results
    assert [result.episode for result in results] == list(range(1, 10))
    assert {result.steps for result in results} == {12}
    assert machine.next().phase is Phase.FINISHED


def test_only_training_explores_and_base_policy_drives_until_warmup_ends():
    machine = make_machine()
    seen = []
    for tick in range(0, 9 * CHUNK, CHUNK):
        state = machine.next()
        seen.append((state.kind, state.acting, state.explore))
        machine.begin(tick)
        machine.observe(tick + 1, success=True)
    assert set(seen) == {
        (EpisodeKind.BASE_EVAL, Source.BASE, False),
        (EpisodeKind.WARMUP, Source.BASE, False),
        (EpisodeKind.TRAIN, Source.ACTOR, True),
        (EpisodeKind.EVAL, Source.ACTOR, False),
    }


def test_phases_cannot_be_skipped():
    machine = make_machine()
    with pytest.raises(RuntimeError, match="no episode is being reset"):
        machine.begin(0)
    machine.next()
    with pytest.raises(RuntimeError, match="has not ended"):
        machine.next()
    machine.begin(0)
    with pytest.raises(RuntimeError, match="has not ended"):
        machine.next()


def test_an_episode_starts_on_a_chunk_boundary_after_the_last():
    machine = ended(ticks=17)
    machine.next()
    for tick in (25, 10):
        with pytest.raises(ValueError, match="multiple of 10 from 17 on"):
            machine.begin(tick)
    assert machine.begin(20).start_tick == 20


@pytest.mark.parametrize(
    ("time_limit", "outcome"), [("failure", Outcome.FAILURE), ("truncation", Outcome.TRUNCATED)]
)
def test_the_time_limit_ends_an_episode(time_limit, outcome):
    machine = running(start=20, time_limit=time_limit)
    assert machine.observe(20 + LIMIT - 1, False).phase is Phase.RUNNING
    state = machine.observe(20 + LIMIT, False)
    assert (state.phase, state.outcome, state.label_source) == (
        Phase.ENDED, outcome, "time_limit"
    )
    assert machine.results[0].steps == LIMIT


@pytest.mark.parametrize("code", sorted(UNJUDGED))
@pytest.mark.parametrize("time_limit", ["failure", "truncation"])
def test_after_a_fault_the_time_limit_truncates(code, time_limit):
    machine = running(time_limit=time_limit)
    for fault in ("", code, ""):
        machine.controlled(0, 1, Source.BASE, fault)
    assert machine.observe(LIMIT - 1, False).phase is Phase.RUNNING
    state = machine.observe(LIMIT, False)
    assert (state.outcome, state.label_source) == (Outcome.TRUNCATED, "fault")
    machine.next()
    machine.begin(LIMIT)
    machine.controlled(LIMIT, 2, Source.BASE, "")
    assert machine.observe(2 * LIMIT, False).label_source == "time_limit"


def test_faults_beside_the_episode_and_plain_limits_are_no_latched_faults():
    machine = running()
    machine.controlled(0, 0, Source.BASE, "jump")  # it has not begun at the controller
    machine.controlled(1, 1, Source.BASE, "late")
    assert machine.observe(LIMIT, False).label_source == "time_limit"


def test_an_episode_that_the_controller_never_drove_is_truncated():
    machine = running()
    for tick in range(3):
        machine.controlled(tick, 0, Source.HOLD, "")
    state = machine.observe(LIMIT, False)
    assert (state.outcome, state.label_source) == (Outcome.TRUNCATED, "fault")


def test_a_verdict_wins_over_a_latched_fault():
    machine = running()
    machine.controlled(0, 1, Source.HOLD, "trip")
    assert machine.observe(7, True).outcome is Outcome.SUCCESS
    machine = running()
    machine.controlled(0, 1, Source.HOLD, "trip")
    machine.observe(LIMIT, False)
    reply = machine.label(True)
    assert (reply.state.outcome, reply.state.label_source) == (Outcome.SUCCESS, "human")


def execute(machine, ticks, source=Source.BASE):
    """Execute ticks of the running episode as a controller does; return its state."""
    for _ in range(ticks):
        tick, episode = machine.state.tick, machine.state.episode
        machine.controlled(tick, episode, source, "")
        machine.observe(tick + 1, False)
    return machine.state


@pytest.mark.parametrize("time_limit", ["failure", "truncation"])
def test_a_hold_does_not_run_the_clock_of_the_time_limit(time_limit):
    machine = running(time_limit=time_limit)
    execute(machine, LIMIT // 2)
    execute(machine, LIMIT - 1, Source.HOLD)
    assert execute(machine, LIMIT - LIMIT // 2 - 1).phase is Phase.RUNNING
    assert execute(machine, 1).label_source == "time_limit"
    (result,) = machine.results
    assert (result.steps, result.held_ticks) == (2 * LIMIT - 1, LIMIT - 1)


@pytest.mark.parametrize("time_limit", ["failure", "truncation"])
def test_an_episode_that_is_held_for_its_time_limit_in_sum_is_cut(time_limit):
    machine = running(time_limit=time_limit)
    execute(machine, LIMIT // 2, Source.HOLD)
    execute(machine, LIMIT - 1)
    assert execute(machine, LIMIT - LIMIT // 2 - 1, Source.HOLD).phase is Phase.RUNNING
    state = execute(machine, 1, Source.HOLD)
    assert (state.outcome, state.label_source) == (Outcome.TRUNCATED, "held")
    assert (machine.results[0].steps, machine.results[0].held_ticks) == (2 * LIMIT - 1, LIMIT)
    machine.next()
    machine.begin(2 * LIMIT)
    assert execute(machine, LIMIT).label_source == "time_limit"  # the next one has its own clock
    assert machine.results[1].held_ticks == 0


def test_a_person_who_drives_runs_the_clock():
    machine = running()
    assert execute(machine, LIMIT, Source.HUMAN).label_source == "time_limit"


def test_a_verdict_wins_over_a_hold():
    machine = running()
    execute(machine, LIMIT - 1, Source.HOLD)
    assert machine.label(False).state.outcome is Outcome.FAILURE


def test_holds_before_the_first_tick_are_not_the_episodes():
    machine = running(start=20)
    for tick in range(12, 20):
        machine.controlled(tick, 0, Source.HOLD, "")
        machine.observe(tick + 1, False)
    assert execute(machine, LIMIT).label_source == "time_limit"
    assert machine.results[0].held_ticks == 0


def test_each_phase_has_its_clock_and_its_holds():
    machine = running_full_task(EpisodeKind.TRAIN)
    execute(machine, APPROACH - 1, Source.HOLD)
    machine.handover(True)
    state = execute(machine, CHUNK, Source.HOLD)
    early = state.critical_tick - (APPROACH - 1)
    state = execute(machine, LIMIT - 1 - (CHUNK - early), Source.HOLD)
    assert state.phase is Phase.RUNNING
    assert execute(machine, 1, Source.HOLD).label_source == "held"
    machine = running_full_task(EpisodeKind.TRAIN)
    state = execute(machine, APPROACH, Source.HOLD)
    assert (state.outcome, state.label_source) == (Outcome.TRUNCATED, "held")


def test_a_resumed_run_remembers_what_was_held():
    machine = running()
    execute(machine, LIMIT, Source.HOLD)
    again = make_machine()
    again.restore(machine.results)
    assert again.results == machine.results
    old = machine.results[0].to_dict()
    del old["held_ticks"]
    assert EpisodeResult.from_dict(old).held_ticks == 0


def test_success_on_the_last_tick_counts():
    machine = running()
    assert machine.observe(LIMIT, True).outcome is Outcome.SUCCESS


def test_a_task_that_cannot_be_done_any_more_ends_in_failure():
    state = running().observe(7, success=False, failure=True)
    assert (state.phase, state.outcome, state.label_source, state.end_tick) == (
        Phase.ENDED, Outcome.FAILURE, "auto", 7
    )


def test_the_past_and_the_time_after_the_end_change_nothing():
    machine = running()
    machine.observe(9, False)
    assert machine.observe(5, True).phase is Phase.RUNNING
    machine.observe(10, True)
    state = machine.state
    assert machine.observe(60, False) == state


def test_no_success_before_the_first_tick():
    machine = running(start=10)
    assert machine.observe(10, True).phase is Phase.RUNNING


def test_a_label_in_the_episode_ends_it_now():
    machine = running()
    machine.observe(8, False)
    reply = machine.label(True)
    assert reply.applied and reply.message == "episode 1 is a success"
    assert (reply.state.end_tick, reply.state.label_source) == (8, "human")
    assert machine.state == reply.state


def test_a_label_needs_an_executed_tick():
    machine = running()
    assert not machine.label(True).applied
    assert machine.state.phase is Phase.RUNNING


@pytest.mark.parametrize("stage", ["ended", "resetting", "begun"])
def test_until_the_next_first_tick_a_label_corrects_the_ended_episode(stage):
    machine = ended()
    if stage != "ended":
        machine.next()
    if stage == "begun":
        machine.begin(10)
    before = machine.state
    reply = machine.label(False)
    assert reply.applied
    assert (reply.state.episode, reply.state.outcome, reply.state.label_source) == (
        1, Outcome.FAILURE, "human"
    )
    assert reply.state.end_tick == 7
    assert machine.results[0].outcome is Outcome.FAILURE
    if stage != "ended":
        assert machine.state == before


def test_after_the_next_first_tick_a_correction_needs_the_id():
    machine = ended()
    machine.next()
    machine.begin(10)
    machine.observe(11, False)
    reply = machine.label(False, "run/1")
    assert reply.applied and reply.state.episode == 1
    assert machine.state.phase is Phase.RUNNING
    machine.observe(10 + NEEDS_ID, False)
    assert machine.label(False).state.episode == 2


@pytest.mark.parametrize("ask", ["label", "discard"])
def test_a_label_just_after_the_start_is_ambiguous_and_changes_nothing(ask):
    def asked(machine, *name):
        return machine.discard(*name) if ask == "discard" else machine.label(True, *name)

    for ticks in (1, NEEDS_ID - 1):
        machine = ended(success=False)
        machine.next()
        machine.begin(10)
        machine.observe(10 + ticks, False)
        before = (machine.state, machine.results)
        reply = asked(machine)
        assert not reply.applied and reply.state is None
        assert "'run/1'" in reply.message and "'run/2'" in reply.message
        assert (machine.state, machine.results) == before
    assert asked(machine, "run/2").state.episode == 2


def test_the_first_episode_has_no_other_that_a_label_could_mean():
    machine = running()
    machine.observe(1, False)
    assert machine.label(True).applied


@pytest.mark.parametrize("episode_id", ["run/2", "run/0", "run/x", "other/1", "1", "run/", "/"])
def test_an_unknown_id_is_refused(episode_id):
    machine = ended()
    reply = machine.label(True, episode_id)
    assert not reply.applied and "expected 'run/<number>'" in reply.message


def test_a_correction_is_refused_when_its_records_are_no_longer_kept():
    machine = make_machine(base_eval_episodes=KEPT_EPISODES + 1)
    for tick in range(0, (KEPT_EPISODES + 1) * CHUNK, CHUNK):
        machine.next()
        machine.begin(tick)
        machine.observe(tick + 3, False)
        machine.abort()
    for request in (lambda: machine.label(True, "run/1"), lambda: machine.discard("run/1")):
        reply = request()
        assert not reply.applied and f"the last {KEPT_EPISODES} episodes" in reply.message
    assert machine.results[0].outcome is Outcome.TRUNCATED
    assert machine.label(True, "run/2").applied


def test_a_label_before_any_episode_is_refused():
    machine = make_machine()
    assert not machine.label(True).applied
    machine.next()
    assert not machine.label(True).applied
    assert not machine.label(True, "run/1").applied


def test_abort_truncates_at_the_current_tick():
    machine = running()
    machine.observe(6, False)
    reply = machine.abort("cable")
    assert reply.message == "episode 1 was aborted: cable"
    assert (reply.state.outcome, reply.state.end_tick, reply.state.label_source) == (
        Outcome.TRUNCATED, 6, "abort"
    )
    assert not machine.abort().applied


def test_an_aborted_episode_can_still_be_labelled():
    machine = running()
    machine.observe(6, False)
    machine.abort()
    assert machine.label(True).state.outcome is Outcome.SUCCESS


def test_an_episode_without_a_tick_takes_no_label():
    machine = running()
    machine.abort()
    assert not machine.label(True).applied


@pytest.mark.parametrize("while_running", [True, False])
def test_a_discarded_episode_counts_for_nothing(while_running):
    machine = running() if while_running else ended()
    machine.observe(7, False)
    reply = machine.discard()
    assert reply.applied
    assert (reply.state.phase, reply.state.outcome, reply.state.label_source) == (
        Phase.ENDED, Outcome.NONE, "discard"
    )
    assert not machine.label(True).applied
    assert machine.results[0].outcome is Outcome.NONE
    assert machine.next().episode == 2


def test_handover_only_where_the_actor_may_drive():
    machine = make_machine()
    assert not machine.handover(True).applied
    for tick in range(0, 5 * CHUNK, CHUNK):
        machine.next()
        machine.begin(tick)
        if machine.state.kind is EpisodeKind.TRAIN:
            break
        assert "base policy drives throughout" in machine.handover(True).message
        machine.observe(tick + 1, True)
    assert not machine.handover(True).applied
    assert machine.handover(False).state.acting is Source.BASE
    assert machine.handover(True).state.acting is Source.ACTOR
    assert machine.state.acting is Source.ACTOR


STORED = {EpisodeKind.WARMUP: Source.BASE, EpisodeKind.TRAIN: Source.ACTOR}
DRIVERS = {EpisodeKind.BASE_EVAL: Source.BASE, EpisodeKind.EVAL: Source.ACTOR} | STORED


def test_without_an_approach_the_whole_episode_is_critical():
    state = running(start=20).state
    assert state.critical and state.critical_tick == 20


@pytest.mark.parametrize("by", ["handover", "signal"])
@pytest.mark.parametrize("kind", DRIVERS)
def test_the_base_policy_approaches_and_the_handover_begins_the_critical_phase(kind, by):
    machine = running_full_task(kind, start=20)
    state = machine.observe(23, False)
    assert not state.critical and state.driver(23) is Source.BASE and not state.stores(23)
    if by == "handover":
        reply = machine.handover(True)
        assert reply.applied and "begins at tick 30" in reply.message
        state = reply.state
    else:
        state = machine.observe(24, False, critical=True)
    assert state == machine.state and state.critical and state.critical_tick == 30
    assert state.driver(29) is Source.BASE and state.driver(30) is DRIVERS[kind]
    assert not state.stores(29) and state.stores(30) == (kind in STORED)
    machine.observe(47, True)
    (result,) = machine.results[-1:]
    assert (result.steps, result.critical_steps) == (27, 17)


def test_a_handover_on_a_chunk_boundary_holds_from_there():
    machine = running_full_task(EpisodeKind.TRAIN)
    assert machine.observe(20, False, critical=True).critical_tick == 20


def test_the_critical_phase_begins_once():
    machine = running_full_task(EpisodeKind.TRAIN)
    machine.observe(23, False, critical=True)
    assert machine.observe(41, False, critical=False).critical
    assert machine.observe(44, False, critical=True).critical_tick == 30
    assert machine.handover(False).state.critical_tick == 30
    assert machine.state.driver(50) is Source.BASE and machine.state.stores(50)
    assert machine.handover(True).state.driver(50) is Source.ACTOR


def test_the_base_policy_cannot_be_handed_the_approach_it_drives():
    machine = running_full_task(EpisodeKind.TRAIN)
    assert not machine.handover(False).applied and not machine.state.critical
    machine = running_full_task(EpisodeKind.BASE_EVAL)
    assert machine.handover(True).state.critical
    assert "base policy drives throughout" in machine.handover(True).message


def test_each_phase_has_its_time_limit():
    machine = running_full_task(EpisodeKind.TRAIN, start=20)
    assert machine.observe(20 + APPROACH - 1, False).phase is Phase.RUNNING
    state = machine.observe(20 + APPROACH, False)
    assert (state.outcome, state.label_source) == (Outcome.FAILURE, "time_limit")
    assert (machine.results[-1].steps, machine.results[-1].critical_steps) == (APPROACH, 0)
    machine = running_full_task(EpisodeKind.TRAIN, start=20)
    machine.observe(51, False, critical=True)
    assert machine.observe(60 + LIMIT - 1, False).phase is Phase.RUNNING
    assert machine.observe(60 + LIMIT, False).label_source == "time_limit"
    assert machine.results[-1].critical_steps == LIMIT


def test_the_last_tick_of_an_approach_may_still_hand_over():
    machine = running_full_task(EpisodeKind.TRAIN)
    assert machine.observe(APPROACH, False, critical=True).phase is Phase.RUNNING


def test_an_episode_may_succeed_before_its_critical_phase():
    machine = running_full_task(EpisodeKind.TRAIN)
    machine.observe(23, False, critical=True)
    machine.observe(28, True)
    assert (machine.results[-1].outcome, machine.results[-1].critical_steps) == (
        Outcome.SUCCESS, 0
    )


def test_human_ticks_are_those_of_a_running_episode():
    machine = running()
    for source in (Source.HUMAN, Source.BLEND, Source.HOLD, Source.ACTOR, Source.HUMAN):
        machine.executed(source)
    machine.observe(7, True)
    machine.executed(Source.HUMAN)
    assert (machine.results[0].interventions, machine.results[0].human_ticks) == (2, 3)


def test_results_of_older_versions_were_all_critical():
    plain = ended().results[0].to_dict()
    del plain["critical_steps"], plain["human_ticks"]
    result = EpisodeResult.from_dict(plain)
    assert (result.critical_steps, result.human_ticks) == (result.steps, 0)


def test_takeovers_are_counted_once_each():
    machine = running()
    for source in (Source.ACTOR, Source.BLEND, Source.HUMAN, Source.HUMAN, Source.HOLD,
                   Source.ACTOR, Source.HUMAN):
        machine.executed(source)
    machine.observe(7, True)
    machine.executed(Source.ACTOR)
    machine.executed(Source.HUMAN)
    assert machine.results[0].interventions == 2


def test_a_takeover_that_goes_on_counts_in_the_next_episode_too():
    machine = running()
    machine.executed(Source.HUMAN)
    machine.observe(7, True)
    machine.next()
    machine.begin(CHUNK)
    machine.executed(Source.HUMAN)
    machine.observe(CHUNK + 7, True)
    assert [result.interventions for result in machine.results] == [1, 1]


def test_results_survive_json():
    result = ended().results[0]
    plain = result.to_dict()
    assert (plain["kind"], plain["outcome"]) == ("base_eval", "success")
    assert EpisodeResult.from_dict({**plain, "wall_seconds": 3.0}) == result


@pytest.mark.parametrize(
    ("change", "words"),
    [({"outcome": "victory"}, "VICTORY"), ({"kind": 1}, "kind or outcome"), (None, "lacks steps")],
)
def test_results_that_are_none_are_refused(change, words):
    plain = ended().results[0].to_dict()
    if change is None:
        del plain["steps"]
    with pytest.raises(ValueError, match=words):
        EpisodeResult.from_dict({**plain, **(change or {})})


@given(st.lists(st.integers(0, 11), max_size=60), st.booleans(), st.data())
def test_no_request_in_any_order_breaks_the_machine(requests, full_task, data):
    machine = make_machine(
        base_eval_episodes=1, episodes=3, eval_episodes=1, full_task=full_task
    )
    for request in requests:
        state = machine.state
        episode_id = data.draw(st.sampled_from(["", "run/1", "run/2", "run/9", "else/1"]))
        if request < 6:
            if state.phase in (Phase.IDLE, Phase.ENDED, Phase.FINISHED):
                machine.next()
            elif state.phase is Phase.RESETTING:
                machine.begin(-(-state.tick // CHUNK) * CHUNK)
            else:
                machine.observe(state.tick + request, request == 5, critical=request == 4)
        elif request < 8:
            machine.label(request == 6, episode_id)
        elif request == 8:
            machine.abort()
        elif request == 9:
            machine.discard(episode_id)
        else:
            machine.handover(request == 10)
        results = machine.results
        assert [result.episode for result in results] == list(range(1, len(results) + 1))
        longest = LIMIT + full_task * (APPROACH + CHUNK)
        assert all(0 <= result.critical_steps <= result.steps <= longest for result in results)
        assert all(result.critical_steps <= LIMIT for result in results)
        assert all(
            (result.outcome is Outcome.NONE) == (result.label_source == "discard")
            for result in results
        )
        is_over = machine.state.phase in (Phase.ENDED, Phase.FINISHED)
        assert len(results) == machine.state.episode - (not is_over and machine.state.episode > 0)


# ---- Resumed ----------------------------------------------------------------------------------


def resumed():
    """A machine that continues after three episodes, restarted after the last one."""
    machine = make_machine()
    for _ in range(3):
        machine.next()
        machine.begin(-(-machine.state.tick // CHUNK) * CHUNK)
        machine.observe(machine.state.start_tick + 7, success=True)
    again = make_machine()
    again.restore(machine.results)
    return again


@pytest.mark.parametrize("episode_id", ["", "run/3", "run/1"])
@pytest.mark.parametrize("ask", ["label", "discard"])
def test_an_episode_of_before_the_restart_is_not_corrected(episode_id, ask):
    machine = resumed()
    before = machine.results
    number = episode_id[-1:] or "3"
    for _ in range(2):  # after its end, and in the reset of the next one
        call = {
            "label": lambda: machine.label(False, episode_id),
            "discard": lambda: machine.discard(episode_id),
        }
        reply = call[ask]()
        assert not reply.applied and reply.state is None
        assert f"episode {number} ended before this run was resumed" in reply.message
        assert "stays success; the episodes from 4 on can" in reply.message
        if machine.state.phase is Phase.ENDED:
            machine.next()
    assert machine.results == before


def test_the_episodes_after_the_restart_are_labelled_and_corrected_as_ever():
    machine = resumed()
    machine.next()
    machine.begin(0)
    machine.observe(7, success=True)
    assert machine.label(False).applied and machine.label(True, "run/4").applied
    machine.next()
    assert machine.discard().applied
    assert machine.results[3].outcome is Outcome.NONE
