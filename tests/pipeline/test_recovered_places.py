"""Which unmatched tracks are looked for and found, in one frame: no two things are in one place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, render, write_objects
from block_stream import at

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline.recovery import Recovery, _log_density, recover, recoverable
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.tracking.fit_history import FitHistory


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


class KnownTrack:
    """What recovery asks of a track."""

    is_confirmed = True
    frames_since_seen = 1
    score = 0.9
    scale = 1.0

    def __init__(self, obj_id: int, pose: np.ndarray | None, spread: float = 0.004, track_id: int = 1) -> None:
        self.obj_id, self.pose, self.pose_covariance = obj_id, pose, np.diag([spread**2] * 3 + [1e-3] * 3)
        self.track_id, self.fits = track_id, FitHistory()


def depth_tracker(objects: ObjectSet) -> DepthTracker:
    config = PoseConfig()
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
    return DepthTracker(DepthTrackingConfig(), config.covariance, icp, verifier)


def recovered(
    objects: ObjectSet, frame: RGBDFrame, tracks: list[KnownTrack], detections: list[Detection] | None = None
) -> Recovery:
    return recover(depth_tracker(objects), frame, tracks, detections or [], 0.2)  # type: ignore[arg-type]


def test_two_tracks_never_share_a_place(objects: ObjectSet) -> None:
    """Of two copies that end up on one object it is the one that was expected there."""
    frame, _ = render([(STEPS, at(0.0))])
    right, wrong = KnownTrack(STEPS, at(0.002)), KnownTrack(STEPS, at(0.012, 0.004), spread=0.008)
    for tracks in ([right, wrong], [wrong, right]):
        recovery = recovered(objects, frame, tracks)
        assert [track for track, _ in recovery.found] == [right]
        assert recovery.not_found == {"taken": 1}
        assert not recovery.needs_detector


def test_a_detection_keeps_its_place(objects: ObjectSet) -> None:
    frame, masks = render([(STEPS, at(0.0))])
    estimate = PoseEstimate(at(0.0), 0.3, np.eye(6) * 1e-4)
    rows, cols = np.nonzero(masks[0])
    box = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1], float)
    detection = Detection(LAMP, 0.2, box, None, estimate, masks[0])
    recovery = recovered(objects, frame, [KnownTrack(STEPS, at(0.0))], [detection])
    assert recovery.found == []
    assert recovery.not_found == {"taken": 1}


@pytest.mark.parametrize(("is_confirmed", "frames_since_seen"), [(True, 1), (False, 1), (True, 2)])
def test_the_detector_is_needed_for_confirmed_tracks_just_lost(
    objects: ObjectSet, is_confirmed: bool, frames_since_seen: int
) -> None:
    frame, _ = render([])
    track = KnownTrack(STEPS, at(0.0))
    track.is_confirmed, track.frames_since_seen = is_confirmed, frames_since_seen
    recovery = recovered(objects, frame, [track])
    assert recovery.not_found == {"gone": 1}
    assert recovery.needs_detector == (is_confirmed and frames_since_seen == 1)


@pytest.mark.parametrize(
    ("place", "hidden", "is_clear"),
    [(0.0, 0, True), (0.0, 160, False), (0.4, 0, False)],
    ids=["in the open", "half hidden", "cut by the edge of the picture"],
)
def test_what_a_detector_should_find_is_seen_for_the_most_part(
    objects: ObjectSet, place: float, hidden: int, is_clear: bool
) -> None:
    frame, _ = render([(STEPS, at(place))])
    frame.depth[:, :hidden] = 0.5
    track = KnownTrack(STEPS, at(place), track_id=7)
    recovery = recover(depth_tracker(objects), frame, [track], [], 0.2, clear_view=0.75)  # type: ignore[list-item]
    assert len(recovery.found) == 1
    assert recovery.in_clear_view == ({7} if is_clear else set())


def test_only_wanted_tracks_with_pose_and_mesh_are_looked_for_by_rising_id(objects: ObjectSet) -> None:
    tracks = [
        KnownTrack(STEPS, at(0.0), track_id=5),
        KnownTrack(LAMP, at(0.0), track_id=2),
        KnownTrack(STEPS, None, track_id=3),
        KnownTrack(STEPS, at(0.1), track_id=1),
    ]
    ids = [t.track_id for t in recoverable(tracks, depth_tracker(objects), [STEPS])]  # type: ignore[arg-type]
    assert ids == [1, 5]
    bare = ObjectSet({i: replace(model, mesh_path=None) for i, model in objects.items()})
    assert recoverable(tracks, depth_tracker(bare), [STEPS]) == []  # type: ignore[arg-type]


def test_the_density_of_a_place_is_that_of_a_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        factor, apart = rng.normal(0, 0.01, (3, 3)), rng.normal(0, 0.01, 3)
        covariance = factor @ factor.T + 1e-6 * np.eye(3)
        expected = -0.5 * (apart @ np.linalg.solve(covariance, apart) + np.linalg.slogdet(covariance)[1])
        assert _log_density(covariance, apart) == pytest.approx(expected, rel=1e-9)
