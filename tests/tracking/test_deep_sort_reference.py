"""With lambda = 0 the tracker gives the IDs of the public Deep SORT code (nwojke/deep_sort, commit f08cf1d).

The numbers were read off that code on the same detections; the comparison was exact for every frame of 30 seeds.
"""

from __future__ import annotations

import pytest
from tracking_scenario import one_object, scenario

from pose_tracking.core.results import Detection
from pose_tracking.tracking import Tracker, TrackingConfig

LAST_IDS = {
    0: [1, 3, 4, 8, 29, 34, 35, 40],
    3: [1, 2, 4, 6, 7, 9, 30, 32],
    17: [1, 4, 7, 8, 9, 13, 36, 37, 46, 47],
    22: [17, 33, 35, 37, 39, 42, 46],
    25: [1, 2, 4, 5, 6, 8, 11, 28, 43, 44],
}


@pytest.mark.parametrize("seed", LAST_IDS)
def test_ids_equal_the_public_code(seed: int) -> None:
    tracker = Tracker(TrackingConfig.deep_sort(), one_object())
    for k, (boxes, features) in enumerate(scenario(seed)):
        detections = [Detection(1, 0.9, b, f) for b, f in zip(boxes, features, strict=True)]
        tracked = tracker.update(detections, k / 30)
    assert [t.track_id for t in tracked] == LAST_IDS[seed]


def test_ids_do_not_depend_on_the_class_beside() -> None:
    """The same crowd twice, as two classes in one scene: each class keeps its own identities."""
    alone = Tracker(TrackingConfig(), one_object())
    both = Tracker(TrackingConfig(), one_object(1, 2))
    first: dict[int, int] = {}
    for k, (boxes, features) in enumerate(scenario(5)):
        one = [Detection(1, 0.9, b, f) for b, f in zip(boxes, features, strict=True)]
        two = [Detection(2, 0.9, b, f) for b, f in zip(boxes, features, strict=True)]
        expected = alone.update(one, k / 30)
        got = [t for t in both.update(one + two, k / 30) if t.obj_id == 1]
        assert len(got) == len(expected)
        for a, b in zip(expected, got, strict=True):
            assert first.setdefault(a.track_id, b.track_id) == b.track_id
            assert a.state == b.state
