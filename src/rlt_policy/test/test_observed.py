"""Whether the policy may be blamed for its silence."""

from rlt_policy.observed import ANSWER_SECONDS, UNOBSERVED_SECONDS, Observed


def test_a_policy_is_blamed_only_while_it_has_something_to_answer():
    observed = Observed()
    assert not observed.unanswerable(100.0), "nobody observes here: there is nobody else to blame"
    now = 100.0
    while now < 100.0 + ANSWER_SECONDS:
        observed.hear(now)
        assert observed.unanswerable(now), "it may be answering the first one"
        now += UNOBSERVED_SECONDS / 2
    observed.hear(now)
    assert not observed.unanswerable(now)
    now += 1.5 * UNOBSERVED_SECONDS
    assert observed.unanswerable(now), "the observer is silent and says why"
    observed.hear(now)
    assert observed.unanswerable(now + UNOBSERVED_SECONDS / 2), "it has only just begun again"
