"""Whether the policy itself is at fault when it is silent."""

from rlt_policy.controller.observation_watch import (
    ANSWER_SECONDS,
    UNOBSERVED_SECONDS,
    ObservationWatch,
)


def test_a_policy_is_blamed_only_while_it_has_something_to_answer():
    observed = ObservationWatch()
    assert not observed.unanswerable(100.0), "nothing is observed: only the policy is at fault"
    now = 100.0
    while now < 100.0 + ANSWER_SECONDS:
        observed.hear(now)
        assert observed.unanswerable(now), "it may be answering the first one"
        now += UNOBSERVED_SECONDS / 2
    observed.hear(now)
    assert not observed.unanswerable(now)
    now += 1.5 * UNOBSERVED_SECONDS
    assert observed.unanswerable(now), "the observer is silent and logs why"
    observed.hear(now)
    assert observed.unanswerable(now + UNOBSERVED_SECONDS / 2), "it has only just resumed"
