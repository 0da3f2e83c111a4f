"""Detections from elsewhere, in place of the pipeline's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Scene, at
from presence import present

from pose_tracking.core.errors import ConfigError, FrameError
from pose_tracking.objects import ObjectSet


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def test_detections_from_elsewhere_are_tracked_as_the_pipelines_own(objects: ObjectSet) -> None:
    own, other = Scene(objects), Scene(objects)
    for k in range(8):
        placed = [(STEPS, at(-0.1)), (LAMP, at(0.1 - 0.004 * k))]
        own.truth.overlooked = {LAMP} if k == 5 else set()
        frame = own.frame(placed)
        things = own.tracker.update(frame)
        again = other.tracker.update_with(frame, own.tracker.report.detections)
        assert other.truth.calls == []
        assert [(t.track_id, t.state, t.hits) for t in things] == [(t.track_id, t.state, t.hits) for t in again]
        for a, b in zip(things, again, strict=True):
            np.testing.assert_allclose(present(a.pose), present(b.pose), atol=1e-6)  # ICP sums in any order
        assert other.tracker.report.recovered == own.tracker.report.recovered == (k == 5)
        assert other.tracker.report.segmented


def test_between_detections_from_elsewhere_tracks_are_followed_on_the_depth(objects: ObjectSet) -> None:
    scene = Scene(objects)
    first = scene.frame([(STEPS, at(0.0))])
    scene.tracker.update(first)
    (detection,) = scene.tracker.report.detections
    scene.tracker.reset()
    scene.tracker.update_with(first, [detection])
    (thing,) = scene.tracker.update_with(scene.frame([(STEPS, at(0.0))]), None)
    assert thing.is_observed
    assert not scene.tracker.report.segmented
    with pytest.raises(FrameError, match="not later"):
        scene.tracker.update_with(first, [])
    with pytest.raises(ConfigError, match=r"detection of object 9; the bundle has \[1, 2, 3\]"):
        scene.tracker.update_with(scene.frame([]), [replace(detection, obj_id=9)])
    broken = replace(detection, box=np.array([0, 0, np.nan, 1]))
    with pytest.raises(ConfigError, match="detection 1 .*not finite"):
        scene.tracker.update_with(scene.frame([]), [detection, broken])
