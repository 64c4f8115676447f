"""A run that waits logs it once, and only when it lasts."""

from rlt_episodes.readiness import PATIENCE_SECONDS, Patience


def test_patience_speaks_once_per_reason():
    patience = Patience()
    assert not patience.wait("the recorder", 100.0)
    assert not patience.wait("the recorder", 100.0 + PATIENCE_SECONDS)
    assert patience.lasting == ""
    assert patience.wait("the recorder", 100.1 + PATIENCE_SECONDS)
    assert patience.lasting == "the recorder"
    assert not patience.wait("the recorder", 200.0)


def test_another_reason_or_none_starts_anew():
    patience = Patience()
    patience.wait("the recorder", 0.0)
    assert patience.wait("the recorder", 11.0)
    assert not patience.wait("the learner", 12.0)
    assert patience.lasting == ""
    assert not patience.wait("", 40.0)
    assert not patience.wait("the learner", 41.0)
    assert patience.wait("the learner", 52.0)
