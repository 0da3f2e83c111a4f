"""What the motion term says of boxes and poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_scenario import at, detect, noisy
from presence import present
from scipy.spatial.transform import Rotation
from scipy.stats import chi2
from tracking_scenario import one_object

from pose_tracking.core.geometry import make_transform
from pose_tracking.tracking import TrackingConfig
from pose_tracking.tracking.measured import Measured
from pose_tracking.tracking.motion import motion_distances
from pose_tracking.tracking.track import Track, predict

NO_SYMMETRY = np.eye(4)[None]
CONFIG = TrackingConfig(motion="pose")


def track_at(pose: np.ndarray, with_pose: bool = True) -> Track:
    detection = detect(pose)
    if not with_pose:
        detection.pose = None
    return Track(1, detection, one_object()[1], 0.0, CONFIG)


def distance(
    track: Track, pose: np.ndarray, config: TrackingConfig = CONFIG, symmetries: np.ndarray = NO_SYMMETRY
) -> float:
    return float(motion_distances([track], Measured([detect(pose)]), symmetries, config)[0, 0])


def test_gates_are_the_chi_square_of_their_degrees_of_freedom() -> None:
    config = TrackingConfig()
    assert config.motion_gate == pytest.approx(chi2.ppf(0.95, 4), abs=1e-3)
    assert config.pose_gate == pytest.approx(chi2.ppf(0.999, 6), abs=1e-2)
    assert config.position_gate == pytest.approx(chi2.ppf(0.999, 3), abs=1e-2)


def test_the_predicted_pose_is_at_distance_zero_and_the_gate_at_one() -> None:
    track = track_at(at(0.1))
    assert distance(track, at(0.1)) == pytest.approx(0, abs=1e-9)
    spread = present(track.pose_covariance)[0, 0] + 0.005**2 + 5e-4**2
    reach = np.sqrt(CONFIG.position_gate * spread)
    assert distance(track, at(0.1 + 0.99 * reach)) < 1
    assert distance(track, at(0.1 + 1.01 * reach)) == np.inf


def test_a_box_at_the_right_place_at_the_wrong_depth_is_told_by_the_pose() -> None:
    track = track_at(at(0.0, z=0.8))
    behind = detect(at(0.0, z=0.9))
    behind.box = detect(at(0.0, z=0.8)).box
    args = [track], Measured([behind]), NO_SYMMETRY
    assert motion_distances(*args, replace(CONFIG, motion="box"))[0, 0] < 0.1
    assert motion_distances(*args, CONFIG)[0, 0] == np.inf
    assert motion_distances(*args, replace(CONFIG, motion="both"))[0, 0] == np.inf


def test_both_is_the_mean_of_the_two() -> None:
    track = track_at(at(0.0))
    near = [detect(at(0.004, 0.002, 0.801, 0.05))]
    parts = [
        motion_distances([track], Measured(near), NO_SYMMETRY, replace(CONFIG, motion=m))[0, 0] for m in ("box", "pose")
    ]
    both = motion_distances([track], Measured(near), NO_SYMMETRY, replace(CONFIG, motion="both"))[0, 0]
    assert both == pytest.approx(np.mean(parts))


def test_pairs_without_a_pose_are_compared_by_their_boxes() -> None:
    posed, flat = track_at(at(0.0)), track_at(at(0.0), with_pose=False)
    seen = detect(at(0.001))
    unposed = detect(at(0.001))
    unposed.pose = None
    found = motion_distances([posed, flat], Measured([seen, unposed]), NO_SYMMETRY, CONFIG)
    boxes = motion_distances([posed, flat], Measured([seen, unposed]), NO_SYMMETRY, replace(CONFIG, motion="box"))
    assert found[0, 0] != boxes[0, 0]
    assert found[0, 1] == boxes[0, 1]
    assert (found[1] == boxes[1]).all()


def test_an_equivalent_pose_of_a_symmetric_object_is_no_distance() -> None:
    half_turn = make_transform(Rotation.from_rotvec([0, 0, np.pi]).as_matrix(), np.zeros(3))
    symmetries = np.stack([np.eye(4), half_turn])
    track = track_at(at(0.0))
    assert distance(track, at(0.0, turn=np.pi), symmetries=symmetries) == pytest.approx(0, abs=1e-9)
    assert distance(track, at(0.0, turn=np.pi)) > 0.2


def test_a_symmetry_may_move_the_origin() -> None:
    """A half turn about an axis beside the origin: the equivalent pose has its origin 6 cm away."""
    beside = make_transform(Rotation.from_rotvec([0, 0, np.pi]).as_matrix(), [0.06, 0, 0])
    symmetries = np.stack([np.eye(4), beside])
    track = track_at(at(0.0))
    assert distance(track, at(0.0) @ beside, symmetries=symmetries) == pytest.approx(0, abs=1e-9)


def test_a_wrong_rotation_at_the_right_place_costs_but_does_not_forbid() -> None:
    track = track_at(at(0.0))
    turned = distance(track, at(0.0, turn=2.0))
    assert 0.2 < turned < 0.5
    assert distance(track, at(0.0, turn=3.0)) == pytest.approx(turned)


def test_the_longer_unmeasured_the_wider_the_gate() -> None:
    reach = []
    for seconds in (0.0, 0.2, 1.0):
        track = track_at(at(0.0))
        predict([track], seconds, seconds, CONFIG)
        steps = np.linspace(0, 3, 600)
        reach.append(sum(np.isfinite(distance(track, at(s))) for s in steps))
    assert reach[0] < reach[1] < reach[2]


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_matrix_equals_its_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = (rng.uniform(-0.05, 0.05, 2) for _ in range(4))
    poses = [at(x, y, 0.8, rng.uniform(-0.2, 0.2)) for x, y in places]
    tracks = [track_at(pose) for pose in poses]
    seen = [detect(noisy(pose, rng)) for pose in poses[::-1]]
    for motion in ("box", "pose", "both"):
        config = replace(CONFIG, motion=motion)
        matrix = motion_distances(tracks, Measured(seen), NO_SYMMETRY, config)
        single = [[motion_distances([t], Measured([d]), NO_SYMMETRY, config)[0, 0] for d in seen] for t in tracks]
        assert matrix == pytest.approx(np.array(single))
        assert ((matrix <= 1) | np.isinf(matrix)).all()
