"""Average precision of a ranking, by hand."""

from __future__ import annotations

import math

import pytest

from pose_tracking.evaluation.metrics.retrieval import average_precision


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ([True, False, False], 1.0),
        ([False, True], 1 / 2),
        # Right at ranks 1, 3 and 4: 1/1, 2/3 and 3/4.
        ([True, False, True, True], (1 + 2 / 3 + 3 / 4) / 3),
    ],
)
def test_average_precision(right: list[bool], expected: float) -> None:
    assert average_precision(right) == pytest.approx(expected)


def test_nothing_right_is_no_number() -> None:
    assert math.isnan(average_precision([False, False]))
    assert math.isnan(average_precision([]))
