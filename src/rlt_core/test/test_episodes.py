"""Schedule, phases and labels of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlt_core.episodes import EpisodeMachine, EpisodeResult, make_schedule
from rlt_core.records import EpisodeKind, Outcome, Phase, Source
from rlt_core.settings import ScheduleSettings
from rlt_core.windows import KEPT_EPISODES

CHUNK = 10
LIMIT = 50


def make_settings(**changes):
    values = {"base_eval_episodes": 2, "episodes": 5, "eval_episodes": 2, "time_limit_ticks": LIMIT}
    return ScheduleSettings(**{**values, **changes})


def make_machine(**changes):
    return EpisodeMachine("run", make_settings(**changes), warmup_episodes=2, chunk=CHUNK)


def running(start=0, **changes):
    machine = make_machine(**changes)
    machine.next()
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
    assert machine.label(False).state.episode == 2


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


@given(st.lists(st.integers(0, 11), max_size=60), st.data())
def test_no_request_in_any_order_breaks_the_machine(requests, data):
    machine = make_machine(base_eval_episodes=1, episodes=3, eval_episodes=1)
    for request in requests:
        state = machine.state
        episode_id = data.draw(st.sampled_from(["", "run/1", "run/2", "run/9", "else/1"]))
        if request < 6:
            if state.phase in (Phase.IDLE, Phase.ENDED, Phase.FINISHED):
                machine.next()
            elif state.phase is Phase.RESETTING:
                machine.begin(-(-state.tick // CHUNK) * CHUNK)
            else:
                machine.observe(state.tick + request, request == 5)
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
        assert all(0 <= result.steps <= LIMIT for result in results)
        assert all(
            (result.outcome is Outcome.NONE) == (result.label_source == "discard")
            for result in results
        )
        is_over = machine.state.phase in (Phase.ENDED, Phase.FINISHED)
        assert len(results) == machine.state.episode - (not is_over and machine.state.episode > 0)
