"""Other trackers behind one protocol: identities are theirs, boxes and indices those of the detections."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.results import Detection
from pose_tracking.evaluation.trackers.baselines import (
    BASELINES,
    Baseline,
    BaselineTrack,
    available,
    make_baseline,
    unavailable,
)

FPS = 30.0
MODULES = {"deep-sort-realtime": "deep_sort_realtime", "norfair": "norfair", "bytetrack": "trackers"}
WARM = 10  # frames after which each of them has confirmed what it saw in all


@pytest.fixture(params=BASELINES)
def baseline(request: pytest.FixtureRequest) -> Baseline:
    pytest.importorskip(MODULES[request.param])
    return make_baseline(request.param, FPS)


def seen(x: float, obj_id: int = 1, look: int = 0, y: float = 100.0) -> Detection:
    """A 50 px box at (x, y) whose feature is unit vector `look`."""
    return Detection(obj_id, 0.9, np.array([x, y, x + 50, y + 50]), np.eye(16, dtype=np.float32)[look])


def run(baseline: Baseline, frames: list[list[Detection]], start: int = 0) -> list[list[BaselineTrack]]:
    return [baseline.update(detections, (start + i) / FPS) for i, detections in enumerate(frames)]


def test_two_movers_keep_their_identities(baseline: Baseline) -> None:
    frames = [[seen(100 + i, look=0), seen(400 - i, look=1)][:: 1 if i % 2 else -1] for i in range(40)]
    results = run(baseline, frames)
    by_thing: dict[int, set[int]] = {0: set(), 1: set()}
    for detections, tracks in zip(frames[WARM:], results[WARM:], strict=True):
        assert sorted(t.detection for t in tracks) == [0, 1]
        for track in tracks:
            detection = detections[track.detection]
            np.testing.assert_array_equal(track.box, detection.box)
            assert detection.feature is not None
            by_thing[int(detection.feature.argmax())].add(track.track_id)
    assert len(by_thing[0]) == len(by_thing[1]) == 1
    assert by_thing[0] != by_thing[1]


def test_nothing_is_reported_that_was_not_seen(baseline: Baseline) -> None:
    run(baseline, [[seen(100 + i), seen(400, look=1)] for i in range(WARM)])
    (hidden,) = run(baseline, [[seen(400, look=1)]], WARM)
    assert [t.detection for t in hidden] == [0]
    assert run(baseline, [[]], WARM + 1) == [[]]
    back = run(baseline, [[seen(100 + i), seen(400, look=1)] for i in range(WARM + 2, WARM + 5)], WARM + 2)
    assert [t.detection for t in sorted(back[-1], key=lambda t: t.detection)] == [0, 1]


def test_classes_are_tracked_apart(baseline: Baseline) -> None:
    """Two classes at one place never share a track, and their IDs differ."""
    results = run(baseline, [[seen(100, 7), seen(100, 3)] for _ in range(20)])
    last = {t.obj_id: t for t in results[-1]}
    assert set(last) == {3, 7}
    assert {obj_id: t.detection for obj_id, t in last.items()} == {7: 0, 3: 1}
    assert last[3].track_id != last[7].track_id
    (swapped,) = run(baseline, [[seen(100, 3), seen(100, 7)]], 20)
    assert {t.obj_id: t.track_id for t in swapped} == {obj_id: t.track_id for obj_id, t in last.items()}


def test_a_new_object_has_a_new_identity(baseline: Baseline) -> None:
    before = {t.track_id for tracks in run(baseline, [[seen(100)] for _ in range(20)]) for t in tracks}
    both = run(baseline, [[seen(100), seen(400, look=1)] for _ in range(20)], 20)
    identities = {t.detection: t.track_id for t in both[-1]}
    assert {identities[0]} == before
    assert identities[1] not in before


def test_one_detection_is_no_confirmed_track(baseline: Baseline) -> None:
    assert run(baseline, [[seen(100)]]) == [[]]


def test_features_decide_where_the_baseline_uses_them() -> None:
    pytest.importorskip(MODULES["deep-sort-realtime"])
    baseline = make_baseline("deep-sort-realtime", FPS, gallery_budget=5)
    # Two that touch change places between two frames: only their appearance tells them apart.
    run(baseline, [[seen(100, look=0), seen(110, look=1)] for _ in range(WARM)])
    before, after = run(
        baseline, [[seen(100, look=0), seen(110, look=1)], [seen(110, look=0), seen(100, look=1)]], WARM
    )
    assert {t.detection: t.track_id for t in before} == {t.detection: t.track_id for t in after}


def test_a_feature_is_asked_for() -> None:
    pytest.importorskip(MODULES["deep-sort-realtime"])
    baseline = make_baseline("deep-sort-realtime", FPS)
    with pytest.raises(ValueError, match="needs a feature"):
        baseline.update([Detection(1, 0.9, np.array([0.0, 0, 10, 10]), None)], 0.0)


@pytest.mark.parametrize("name", BASELINES)
def test_a_missing_package_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.partition(".")[0] == MODULES[name]]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, MODULES[name], None)
    with pytest.raises(ConfigError, match=r"pip install 'pose_tracking\[benchmark\]'") as caught:
        make_baseline(name, FPS)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert name not in available()
    assert unavailable()[name]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="'sort' is not one of deep-sort-realtime, norfair, bytetrack"):
        make_baseline("sort", FPS)
    with pytest.raises(ConfigError, match="frame rate 0"):
        make_baseline("norfair", 0)
