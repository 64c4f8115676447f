"""A message whose stamp does not increase is not new."""

from __future__ import annotations

import pytest

from rlt_core.control.stamps import Stamps


@pytest.mark.parametrize(
    ("stamps", "news"),
    [
        ((1.0, 1.02, 1.04), (True, True, True)),
        ((1.0, 1.0, 1.0), (True, False, False)),  # the driver repeats an old measurement
        ((0.0, 0.0, 0.0), (True, True, True)),  # it sets no stamps
        ((3600.0, 10.0, 10.02), (True, False, True)),  # its clock was set back
        ((1.0, 0.5, 1.02, 0.52), (True, False, True, False)),  # a second sender repeats old stamps
    ],
)
def test_news_has_a_later_stamp(stamps, news):
    kept = Stamps()
    assert tuple(bool(kept.fresh(["tcp_pose"], stamp)) for stamp in stamps) == news


def test_each_source_has_stamps_of_its_own():
    stamps = Stamps()
    assert stamps.fresh(["lift", "turn"], 5.0) == ["lift", "turn"]
    assert stamps.fresh(["turn", "finger"], 5.0) == ["finger"]
