"""The protocol of YCBInEOAT against an independent computation, and what stands beside its areas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_cases import box_at, make_objects, pose_at, sample, tracked, truth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from presence import present
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.metrics.pose import accuracy_auc
from pose_tracking.evaluation.metrics.ycbineoat import YcbInEoat, stepped_auc
from pose_tracking.objects import ObjectSet

FRAMES = 40


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


def area_by_rectangles(errors: list[float], limit: float = 0.1) -> float:
    """The area rectangle by rectangle: each reaches from one error to the next and is as high as the share there."""
    area, before = 0.0, 0.0
    for error in sorted(set(errors)):
        if error >= limit:
            break
        # Where several frames have one error, the rectangle before it is as high as the first of them makes it.
        share = (sum(other < error for other in errors) + 1) / len(errors)
        area += (error - before) * share
        before = error
    return (area + (limit - before) * sum(e < limit for e in errors) / len(errors)) / limit


def random_frames(seed: int) -> tuple[list[Sample], list[list[TrackedObject]]]:
    """A brick and a plate, each with poses off by up to some 6 cm, not seen in some frames, or far off."""
    rng = np.random.default_rng(seed)
    samples, answers = [], []
    for i in range(FRAMES):
        truths, found = [], []
        for obj_id in (1, 2):
            turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
            right = make_transform(turn, [0.1 * obj_id, 0.0, 0.6 + 0.002 * i])
            truths.append(truth(obj_id, box_at(50 * obj_id), right))
            off = Rotation.from_rotvec(rng.normal(0, 0.4, 3)).as_matrix()
            shift = rng.normal(0, 0.02, 3) if rng.random() < 0.9 else np.array([0.4, 0, 0])
            estimate = make_transform(off @ turn, right[:3, 3] + shift)
            if rng.random() < 0.85:
                found.append(tracked(obj_id, box_at(50 * obj_id), estimate, track_id=obj_id))
        samples.append(sample(i, truths))
        answers.append(found)
    return samples, answers


def score(objects: ObjectSet, samples: list[Sample], answers: list[list[TrackedObject]]) -> dict:
    scores = YcbInEoat(objects)
    for one, answer in zip(samples, answers, strict=True):
        scores.add(one, answer)
    return scores.result()


def test_equals_an_independent_computation(objects: ObjectSet) -> None:
    samples, answers = random_frames(0)
    result = score(objects, samples, answers)
    everything: tuple[list[float], list[float]] = ([], [])
    for obj_id in (1, 2):
        points = present(objects[obj_id].mesh).vertices.astype(float)
        of_points, of_surface = [], []
        for one, answer in zip(samples, answers, strict=True):
            (right,) = (t.pose for t in present(one.objects) if t.obj_id == obj_id)
            poses = [present(o.pose) for o in answer if o.obj_id == obj_id]
            if not poses:
                of_points.append(np.inf)
                of_surface.append(np.inf)
                continue
            there, here = (points @ p[:3, :3].T + p[:3, 3] for p in (right, poses[0]))
            of_points.append(float(np.linalg.norm(there - here, axis=1).mean()))
            of_surface.append(float(cdist(there, here).min(axis=1).mean()))
        entry = result["objects"][objects[obj_id].name]
        assert entry["frames"] == FRAMES
        assert entry["found"] == np.isfinite(of_points).sum() < FRAMES
        assert entry["add_auc"] == pytest.approx(area_by_rectangles(of_points), abs=1e-9)
        assert entry["add_s_auc"] == pytest.approx(area_by_rectangles(of_surface), abs=1e-9)
        assert 0.2 < entry["add_auc"] < entry["add_s_auc"] < 0.9
        everything[0].extend(of_points)
        everything[1].extend(of_surface)
    # Over all frames as over the frames of one object, and not the mean of the objects.
    assert result["all"]["add_auc"] == pytest.approx(area_by_rectangles(everything[0]), abs=1e-9)
    assert result["all"]["add_s_auc"] == pytest.approx(area_by_rectangles(everything[1]), abs=1e-9)
    assert result["mean"]["add_auc"] == pytest.approx(np.mean([e["add_auc"] for e in result["objects"].values()]))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.0999, 0.1, 0.2, np.inf]) | st.floats(0, 0.3), min_size=1))
def test_the_stepped_area_is_that_of_the_rectangles(errors: list[float]) -> None:
    area = stepped_auc(errors)
    assert area == pytest.approx(area_by_rectangles(errors), abs=1e-9)
    assert -1e-12 <= area - accuracy_auc(errors) <= 1 / len(errors) + 1e-12


def test_areas_worked_out_by_hand() -> None:
    # 2 cm at half, then 2 cm at the full height, then the rest.
    assert stepped_auc([0.04, 0.02]) == pytest.approx((0.02 * 0.5 + 0.02 + 0.06) / 0.1)
    assert stepped_auc([0.02, np.inf]) == pytest.approx(0.5)
    assert stepped_auc([0.0, 0.0]) == 1.0
    assert stepped_auc([np.inf, 0.3]) == 0.0
    assert stepped_auc([]) == 0.0


def test_every_frame_counts_however_little_is_seen(objects: ObjectSet) -> None:
    hidden = [sample(0, [truth(1, box_at(0), visibility=0.01)]), sample(1, [truth(1, box_at(0))]), sample(2, None)]
    entry = score(objects, hidden, [[], [tracked(1, box_at(0))], []])["objects"]["brick"]
    assert (entry["frames"], entry["found"], entry["add_auc"]) == (2, 1, 0.5)


def test_the_published_pose_of_the_track_that_was_seen_is_scored(objects: ObjectSet) -> None:
    thing = replace(tracked(1, box_at(0)), pose=pose_at(0.05))  # its detection has the right one
    coasting = replace(tracked(1, box_at(0), track_id=2), state=TrackState.COASTING, frames_since_seen=1)
    tentative = replace(tracked(1, box_at(0), track_id=3), state=TrackState.TENTATIVE, pose_confidence=1.0)
    frames = [[thing], [coasting], [tentative, thing]]
    entry = score(objects, [sample(i, [truth(1, box_at(0))]) for i in range(3)], frames)["objects"]["brick"]
    assert (entry["found"], entry["track_ids"]) == (2, 1)
    assert entry["add_auc"] == pytest.approx(0.5)  # of two of three frames with 5 cm: 1/3 up to there, then 2/3


def test_one_track_is_followed_as_long_as_it_lives(objects: ObjectSet) -> None:
    """A surer one elsewhere takes over neither from it nor while it is not seen; a tentative one is not followed."""
    away = pose_at(0.5)
    false = replace(tracked(1, box_at(50), away, track_id=2), pose_confidence=1.0)
    early = replace(tracked(1, box_at(50), away, track_id=3), state=TrackState.TENTATIVE)
    thing = replace(tracked(1, box_at(0), track_id=1), pose_confidence=0.5)
    coasting = replace(thing, state=TrackState.COASTING, frames_since_seen=1)
    frames = [[early], [early, thing], [thing, false], [coasting, false], [false, thing], [false]]
    entry = score(objects, [sample(i, [truth(1, box_at(0))]) for i in range(6)], frames)["objects"]["brick"]
    assert (entry["found"], entry["track_ids"]) == (5, 3)
    assert entry["add_auc"] == pytest.approx(3 / 6)


def test_continuity_and_jitter(objects: ObjectSet) -> None:
    """Found in frames 0 to 2 and 4 to 8 as track 1, then as track 2; off by 0 and 2 mm, turn about."""
    answers = []
    for i in range(12):
        pose = pose_at(0.01 * i + 0.002 * (i % 2))
        answers.append([] if i == 3 else [tracked(1, box_at(0), pose, track_id=1 if i < 9 else 2)])
    samples = [sample(i, [truth(1, box_at(0), pose_at(0.01 * i))]) for i in range(12)]
    entry = score(objects, samples, answers)["objects"]["brick"]
    assert (entry["frames"], entry["found"], entry["track_ids"]) == (12, 11, 2)
    assert (entry["longest_frames"], entry["longest_seconds"]) == (5, pytest.approx(0.4))
    assert entry["jitter_m"] == pytest.approx(0.002)
    assert entry["jitter_deg"] == pytest.approx(0, abs=1e-4)
    again = [sample(i, [truth(1, box_at(0))], scene_id=scene) for scene in (0, 1) for i in range(2)]
    entry = score(objects, again, [[tracked(1, box_at(0))]] * 4)["objects"]["brick"]
    assert (entry["sequences"], entry["track_ids"], entry["longest_frames"]) == (2, 2, 2)


def test_a_symmetry_is_no_jitter(objects: ObjectSet) -> None:
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    answers = [
        [tracked(o, box_at(0), pose_at(0) @ (half_turn if i % 2 else np.eye(4))) for o in (1, 2)] for i in (0, 1)
    ]
    samples = [sample(i, [truth(1, box_at(0)), truth(2, box_at(0))]) for i in (0, 1)]
    found = score(objects, samples, answers)["objects"]
    assert found["brick"]["jitter_deg"] == pytest.approx(180)
    assert found["plate"]["jitter_deg"] == pytest.approx(0, abs=1e-4)


def test_what_the_protocol_cannot_score_is_named(objects: ObjectSet, tmp_path_factory: pytest.TempPathFactory) -> None:
    two = sample(0, [truth(1, box_at(0)), truth(1, box_at(50))])
    with pytest.raises(DatasetError, match="several brick in a frame"):
        YcbInEoat(objects).add(two, [])
    bare = make_objects(tmp_path_factory.mktemp("bare"), meshes=False)
    with pytest.raises(ConfigError, match="the model has none: give --objects"):
        YcbInEoat(bare)
    assert YcbInEoat(objects).result()["all"]["frames"] == 0
