"""Recorded detections come back from their file as they were, and what is made of them counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from estimates import estimate_of
from evaluation_cases import box_at, make_objects, mask_of, sample, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from presence import present
from tracking_cases import detection, frames

from pose_tracking.core.errors import DatasetError
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox
from pose_tracking.evaluation.trackers.record import TrackingFrame, record
from pose_tracking.evaluation.trackers.recordings import load_recording, save_recording
from pose_tracking.evaluation.trackers.run import own_tracker, run_tracker
from pose_tracking.objects import ObjectSet
from pose_tracking.tracking import TrackingConfig


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


class Listed(list):
    name = "listed"


def alike(a: TrackingFrame, b: TrackingFrame) -> None:
    assert (a.scene_id, a.stamp, a.intrinsics, a.complete, a.annotated) == (
        b.scene_id, b.stamp, b.intrinsics, b.complete, b.annotated,
    )  # fmt: skip
    np.testing.assert_equal(a.camera_pose, b.camera_pose)
    assert (a.detections is None) == (b.detections is None)
    for x, y in zip(a.detections or (), b.detections or (), strict=True):
        assert (x.obj_id, x.score, x.mask) == (y.obj_id, y.score, y.mask)
        np.testing.assert_equal(x.box, y.box)
        np.testing.assert_equal(x.feature, y.feature)
        assert (x.pose is None) == (y.pose is None)
        if x.pose is not None:
            assert x.pose.confidence == estimate_of(y).confidence
            np.testing.assert_equal(x.pose.pose, estimate_of(y).pose)
            np.testing.assert_equal(x.pose.covariance, estimate_of(y).covariance)
            np.testing.assert_equal(x.pose.noise, estimate_of(y).noise)
    assert [(t.identity, t.obj_id, t.ignored) for t in a.truths] == [
        (t.identity, t.obj_id, t.ignored) for t in b.truths
    ]
    np.testing.assert_equal([t.box for t in a.truths], [t.box for t in b.truths])


frame_parts = st.lists(
    st.tuples(
        st.booleans(),  # the camera's pose is known
        st.none() | st.lists(st.tuples(st.none() | st.integers(0, 3), st.booleans()), max_size=3),
        st.lists(st.booleans(), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30, deadline=None)
@given(parts=frame_parts)
def test_a_recording_comes_back_from_its_file(tmp_path_factory: pytest.TempPathFactory, parts: list) -> None:
    before = []
    for i, (posed, found, ignored) in enumerate(parts):
        detections = None if found is None else [detection(1 + k % 2, 9.0 * k, f, p) for k, (f, p) in enumerate(found)]
        truths = [IdentifiedBox((i, 1, k), 1, box_at(7 * k), flag) for k, flag in enumerate(ignored)]
        pose = np.eye(4) * (1 + i) if posed else None
        before.append(replace(frames(1, i)[0], camera_pose=pose, detections=detections, truths=truths, complete=posed))
    path = tmp_path_factory.mktemp("recording") / "detections.npz"
    save_recording(path, before, {"source": "a", "noise": {"box": 2.0}})
    after, about = load_recording(path)
    assert about == {"source": "a", "noise": {"box": 2.0}}
    for a, b in zip(before, after, strict=True):
        alike(a, b)


def test_a_recording_keeps_what_frames_share_and_an_old_one_has_nothing_of_it(tmp_path: Path) -> None:
    found, shared = detection(1, 0.0, True, True), np.diag([4e-6] * 3 + [1e-4] * 3)
    estimate_of(found).systematic = shared
    path = tmp_path / "new.npz"
    save_recording(path, [replace(frames(1, 0)[0], detections=[found])], {})
    again = present(load_recording(path).frames[0].detections)[0]
    np.testing.assert_equal(estimate_of(again).systematic, shared)
    with np.load(path) as arrays:
        np.savez(tmp_path / "old.npz", **{name: arrays[name] for name in arrays.files if name != "systematics"})
    old = present(load_recording(tmp_path / "old.npz").frames[0].detections)[0]
    np.testing.assert_equal(estimate_of(old).noise, estimate_of(found).covariance)


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    save_recording(whole, frames(3), {})
    content = whole.read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.npz").write_text("none")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for name in ("cut", "text", "other", "array"):
        with pytest.raises(DatasetError, match=f"{name}.npz: not a whole file of recorded detections"):
            load_recording(tmp_path / f"{name}.npz")
    with pytest.raises(DatasetError, match="no such file"):
        load_recording(tmp_path / "missing.npz")
    with np.load(whole) as file:
        np.savez(tmp_path / "newer.npz", **{**file, "format": np.array(99)})
    with pytest.raises(DatasetError, match="of format 99; this version reads 1"):
        load_recording(tmp_path / "newer.npz")


def test_a_source_is_recorded_without_masks(objects: ObjectSet) -> None:
    seen = truth(1, box_at(10), instance_id=4)
    hidden = truth(2, box_at(60), visibility=0.2, instance_id=None)
    foreign = truth(9, box_at(90))
    source = Listed([sample(0, [seen, hidden, foreign], scene_id=5, complete=True), sample(1, None, scene_id=5)])
    found = [replace(detection(1, 10), mask=mask_of(box_at(10))), detection(9, 90)]
    first, second = record(source, lambda sample: found, objects)
    assert [(t.identity, t.ignored) for t in first.truths] == [((5, 1, 4), False), ((5, 2, 0), True)]
    (kept,) = present(first.detections)
    assert kept.obj_id == 1
    assert kept.mask is None
    assert (first.annotated, first.complete, second.annotated, second.truths) == (True, True, False, [])
    assert len(record(source, lambda sample: found, objects, max_frames=1)) == 1


def test_sources_that_tell_no_identities_are_refused(objects: ObjectSet) -> None:
    twins = [truth(1, box_at(10), instance_id=None), truth(1, box_at(50), instance_id=None)]
    with pytest.raises(DatasetError, match="listed: scene 3: several brick in a frame without instance ids"):
        record(Listed([sample(0, twins, scene_id=3)]), lambda sample: [], objects)
    with pytest.raises(DatasetError, match="listed: has no frames"):
        record(Listed(), lambda sample: [], objects)


def test_hand_made_tracks_have_the_known_scores() -> None:
    """10 frames of one object, whose track changes after 6 of them: one switch, and IDF1 of the longer part."""
    steps = iter(range(10))

    def tracker():
        def step(detections, stamp, camera_pose, intrinsics):
            return [IdentifiedBox(1 if next(steps) < 6 else 2, 1, detections[0].box)]

        return step

    alone = [replace(f, detections=present(f.detections)[:1], truths=f.truths[:1]) for f in frames(10)]
    scores = run_tracker(alone, tracker).scores()
    assert (scores["id_switches"], scores["object_frames"], scores["switches_per_1000"]) == (1, 10, 100)
    assert scores["idf1"] == pytest.approx(0.6)


def test_each_scene_has_a_tracker_of_its_own_and_its_tracks_are_new() -> None:
    made: list[list[tuple[float, np.ndarray | None]]] = []

    def tracker():
        made.append([])

        def step(detections, stamp, camera_pose, intrinsics):
            made[-1].append((stamp, camera_pose))
            return [IdentifiedBox(i, d.obj_id, d.box) for i, d in enumerate(detections)]

        return step

    two = frames(5, scene=1) + frames(5, scene=2)
    scores = run_tracker(two, tracker, camera_motion=False).scores()
    assert [len(each) for each in made] == [5, 5]
    assert {pose is None for each in made for _, pose in each} == {True}
    assert (scores["id_switches"], scores["idf1"], scores["mt"]) == (0, 1, 6)
    # One identity over both scenes would be wrong in one of them.
    run_tracker(two[:1], tracker)
    np.testing.assert_equal(made[-1][0][1], np.eye(4))


def test_classes_that_are_never_annotated_count_only_where_all_is_annotated() -> None:
    def tracker():
        return lambda detections, *rest: [IdentifiedBox(i, d.obj_id, d.box) for i, d in enumerate(detections)]

    part = [replace(f, truths=f.truths[:1]) for f in frames(4)]
    assert run_tracker(part, tracker).scores()["fp"] == 8
    unsure = [replace(f, complete=False) for f in part]
    assert run_tracker(unsure, tracker).scores()["fp"] == 0
    assert run_tracker([replace(f, annotated=False, truths=[]) for f in part], tracker).scores()["mota"] is None


def test_our_tracker_keeps_what_is_easy_to_keep(objects: ObjectSet) -> None:
    config = TrackingConfig()
    scores = run_tracker(frames(30, absent=(12, 13)), lambda: own_tracker(config, objects)).scores()
    assert scores["id_switches"] == 0
    assert scores["fp"] == 0
    assert scores["fn"] == 3 * (config.n_init - 1) + 2  # unconfirmed, and the two frames without the brick
