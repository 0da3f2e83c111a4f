"""Counting rules of the report, on scenes with known answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from estimates import estimate_of
from evaluation_cases import box_at, make_objects, pose_at, result, sample, tracked, truth
from presence import present

from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.evaluation import FrameResult, Scorer, score
from pose_tracking.evaluation.metrics.tracking import METRICS
from pose_tracking.evaluation.report.schema import OBJECT_KEYS, STAGES, ReportData
from pose_tracking.evaluation.report.text import format_table


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return make_objects(tmp_path_factory.mktemp("objects"))


def run(objects, frames, **options) -> Any:
    """Score frames given as (estimates, truths)."""
    scorer = Scorer(objects, **options)
    for i, (estimates, truths) in enumerate(frames):
        scorer.add(sample(i, truths), result(i, estimates))
    return scorer.report("made up", "test").data


def test_shape_of_the_report(objects):
    data = run(objects, [([tracked(1, box_at(0))], [truth(1, box_at(0))])])
    assert list(data) == [
        "schema", "source", "model", "frames", "frames_dropped", "summary", "pose", "bop", "segmentation", "tracking",
        "latency_ms", "fps", "extra",
    ]  # fmt: skip
    assert data["schema"] == 2
    assert (data["source"], data["model"], data["frames"], data["frames_dropped"]) == ("made up", "test", 1, 0)
    assert set(data["pose"]) == {"objects", "mean"}
    assert set(data["pose"]["objects"]) == {"1", "2"}
    for entry in (*data["pose"]["objects"].values(), data["pose"]["mean"]):
        assert tuple(entry) == OBJECT_KEYS
    assert set(data["segmentation"]) == {"map", "map50"}
    assert tuple(data["tracking"]) == METRICS
    assert tuple(data["latency_ms"]) == STAGES
    assert all(set(stage) == {"median", "p99"} for stage in data["latency_ms"].values())
    assert data["latency_ms"]["pose"]["median"] == pytest.approx(100)
    assert data["fps"] == pytest.approx(1 / 0.31)


def test_perfect_frame(objects):
    pair = [tracked(1, box_at(0)), tracked(2, box_at(50), track_id=2)]
    data = run(objects, [(pair, [truth(1, box_at(0)), truth(2, box_at(50))])])
    assert data["pose"]["objects"]["1"] == {
        "name": "brick", "instances": 1, "detected": 1, "add_s_recall": 1.0, "add_s_recall_detected": 1.0,
        "median_add_m": 0.0,
    }  # fmt: skip
    assert data["segmentation"] == {"map": pytest.approx(1), "map50": pytest.approx(1)}
    assert data["tracking"]["mota"] == 1
    assert data["extra"]["false_positives_per_frame"] == 0


def test_missed_instances_fail_and_detected_leaves_them_out(objects):
    """Brick: 4 instances, 2 found, 1 of them within 0.1 d."""
    bad = pose_at(0.05)
    frames = [
        ([tracked(1, box_at(0))], [truth(1, box_at(0))]),
        ([tracked(1, box_at(0), bad)], [truth(1, box_at(0))]),
        ([], [truth(1, box_at(0)), truth(1, box_at(50), instance_id=2)]),
    ]
    entry = run(objects, frames)["pose"]["objects"]["1"]
    assert (entry["instances"], entry["detected"]) == (4, 2)
    assert entry["add_s_recall"] == 0.25
    assert entry["add_s_recall_detected"] == 0.5
    assert entry["median_add_m"] == pytest.approx(0.025)


def test_threshold_is_a_tenth_of_the_diameter(objects):
    limit = 0.1 * objects[1].diameter
    for shift, recall in ((limit * 0.999, 1.0), (limit * 1.001, 0.0)):
        data = run(objects, [([tracked(1, box_at(0), pose_at(shift))], [truth(1, box_at(0))])])
        assert data["pose"]["objects"]["1"]["add_s_recall"] == recall


def test_symmetric_object_is_scored_by_add_s(objects):
    turned = pose_at(0) @ np.diag([-1.0, -1.0, 1.0, 1.0])
    data = run(
        objects, [([tracked(o, box_at(50 * o), turned) for o in (1, 2)], [truth(o, box_at(50 * o)) for o in (1, 2)])]
    )
    assert data["pose"]["objects"]["2"]["median_add_m"] == pytest.approx(0, abs=1e-6)
    assert data["pose"]["objects"]["1"]["median_add_m"] > 0.03


def test_mean_is_unweighted_over_objects_with_instances(objects):
    frames = [([tracked(1, box_at(0))], [truth(1, box_at(0))])] * 3 + [([], [truth(2, box_at(50))])]
    data = run(objects, frames)
    assert data["pose"]["mean"]["add_s_recall"] == 0.5
    assert data["pose"]["mean"]["instances"] == 2
    assert data["pose"]["mean"]["add_s_recall_detected"] == 1.0
    only_brick = run(objects, frames[:1])["pose"]
    assert only_brick["mean"]["add_s_recall"] == 1.0
    assert only_brick["objects"]["2"] == {
        "name": "plate", "instances": 0, "detected": 0, "add_s_recall": None, "add_s_recall_detected": None,
        "median_add_m": None,
    }  # fmt: skip


def test_hardly_visible_truth_is_ignored_throughout(objects):
    hidden = truth(1, box_at(0), visibility=0.29)
    for estimates in ([], [tracked(1, box_at(0), pose_at(0.3))]):
        data = run(objects, [(estimates, [hidden, truth(2, box_at(50))])] * 2)
        assert data["pose"]["objects"]["1"]["instances"] == 0
        assert data["pose"]["mean"]["instances"] == 2
        assert (data["tracking"]["fp"], data["tracking"]["fn"]) == (0, 2)
        assert data["extra"]["false_positives_per_frame"] == 0
    seen = run(objects, [([], [truth(1, box_at(0), visibility=0.3)])])
    assert seen["pose"]["objects"]["1"]["instances"] == 1
    unknown = run(objects, [([], [truth(1, box_at(0), visibility=None)])], min_visib=1.0)
    assert unknown["pose"]["objects"]["1"]["instances"] == 1


def test_box_decides_without_masks(objects):
    estimate = replace(tracked(1, box_at(2)), mask=None, detection=None)  # as it comes back over DDS
    data = run(objects, [([estimate], [truth(1, box_at(0), mask=None)])])
    assert data["pose"]["objects"]["1"]["detected"] == 1
    assert data["segmentation"] == {"map": None, "map50": None}
    assert data["tracking"]["motp"] == pytest.approx(18 / 22)


def test_truth_without_box_and_mask_is_projected(objects):
    annotation = truth(1, box_at(0), pose_at(0.05), mask=None)
    annotation.box = None
    # The brick, 10 x 6 cm at 0.6 m (front face 0.58 m): 34.5 px by 20.7 px around the projected centre.
    half = np.array([0.05, 0.03]) / 0.58 * 200
    center = np.array([80 + 0.05 / 0.6 * 200, 60])
    box = np.concatenate([center - half, center + half])
    estimate = replace(tracked(1, box), mask=None, detection=None)
    assert run(objects, [([estimate], [annotation])])["tracking"]["motp"] > 0.85


def test_every_detection_is_scored_but_only_confirmed_ones_are_tracks(objects):
    tentative = tracked(1, box_at(0), state=TrackState.TENTATIVE)
    coasting = tracked(2, box_at(50), state=TrackState.COASTING, frames_since_seen=1, detection=None, mask=None)
    data = run(objects, [([tentative, coasting], [truth(1, box_at(0)), truth(2, box_at(50))])] * 2)
    assert data["pose"]["objects"]["1"]["detected"] == 2
    assert data["pose"]["objects"]["2"]["detected"] == 0
    assert (data["tracking"]["fn"], data["tracking"]["fp"]) == (4, 0)


def test_detection_without_pose_is_found_but_fails(objects):
    found = tracked(1, box_at(0))
    present(found.detection).pose = None
    entry = run(objects, [([found], [truth(1, box_at(0))])])["pose"]["objects"]["1"]
    assert (entry["detected"], entry["add_s_recall"], entry["add_s_recall_detected"]) == (1, 0.0, 0.0)
    assert entry["median_add_m"] is None


def test_without_meshes_there_is_no_add(tmp_path):
    bare = make_objects(tmp_path, meshes=False)
    entry = run(bare, [([tracked(1, box_at(0))], [truth(1, box_at(0))])])["pose"]["objects"]["1"]
    assert (entry["instances"], entry["detected"]) == (1, 1)
    assert (entry["add_s_recall"], entry["add_s_recall_detected"], entry["median_add_m"]) == (None, None, None)


def test_without_ground_truth_it_reports_what_was_found(objects):
    data = run(objects, [([tracked(1, box_at(0)), tracked(1, box_at(50), track_id=2)], None), ([], None)])
    assert data["frames"] == 2
    assert data["extra"]["detections_per_frame"] == 1.0
    assert data["extra"]["objects"]["1"]["detections_per_frame"] == 1.0
    assert data["extra"]["false_positives_per_frame"] is None
    assert set(data["tracking"].values()) == {None}
    assert data["pose"]["mean"]["add_s_recall"] is None


def test_classes_never_annotated_do_not_count(objects):
    """The cat scene of LineMOD: other objects are in view, but nobody annotated them."""
    data = run(objects, [([tracked(1, box_at(0)), tracked(2, box_at(50), track_id=2)], [truth(1, box_at(0))])])
    assert data["tracking"]["fp"] == 0
    assert data["tracking"]["mota"] == 1
    assert data["extra"]["false_positives_per_frame"] == 0
    assert data["extra"]["objects"]["2"]["detections"] == 1


def test_annotated_objects_the_model_does_not_know_are_left_out(objects):
    data = run(objects, [([], [truth(7, box_at(0))])])
    assert data["extra"]["unknown_annotated_objects"] == [7]
    assert data["pose"]["mean"]["instances"] is None
    assert "no instances: the annotated objects 7 are not the model's, 1 (brick), " in format_table(data)


def test_identity_of_a_lone_instance_needs_no_id(objects):
    frames = [([tracked(1, box_at(0))], [truth(1, box_at(0), instance_id=None)])] * 3
    assert run(objects, frames)["tracking"]["idf1"] == 1
    frames[0][1].append(truth(1, box_at(50), instance_id=None))
    data = run(objects, frames)
    assert data["tracking"]["idf1"] is None
    assert "brick" in data["extra"]["tracking_note"]


def test_frames_that_are_a_scene_each_have_nothing_to_track(objects):
    scorer = Scorer(objects)
    for scene in (1, 2, 3):
        scorer.add(sample(0, [truth(1, box_at(0))], scene_id=scene), result(0, [tracked(1, box_at(0))]))
    data = scorer.report("made up", "test").data
    assert data["tracking"]["idf1"] is None
    assert "scene of its own" in (data["extra"]["tracking_note"] or "")
    assert "not scored: each frame" in format_table(data)


def test_a_single_frame_confirms_no_track_and_is_not_scored_as_a_miss(objects):
    new = replace(tracked(1, box_at(0)), state=TrackState.TENTATIVE)
    data = run(objects, [([new], [truth(1, box_at(0))])])
    assert data["pose"]["objects"]["1"]["add_s_recall"] == 1
    assert data["tracking"]["idf1"] is None
    assert "not scored: a single frame confirms no track" in format_table(data)
    assert run(objects, [([new], [truth(1, box_at(0))])] * 2)["tracking"]["idf1"] == 0


def test_track_ids_of_two_scenes_are_different_tracks(objects):
    scorer = Scorer(objects)
    for scene in (1, 2):
        for i in range(2):
            scorer.add(
                sample(i, [truth(1, box_at(0), instance_id=scene)], scene_id=scene), result(i, [tracked(1, box_at(0))])
            )
    data = scorer.report("two", "test").data
    assert data["tracking"]["idf1"] == 1
    assert data["tracking"]["mt"] == 2


def test_pose_stages(objects):
    thing = tracked(1, box_at(0), track_id=1)
    thing.pose = pose_at(0.2)  # the smoothed pose lags behind
    estimate = estimate_of(thing)
    estimate.raw_pose = pose_at(0.1)
    estimate.refined_pose = pose_at(0.001)
    estimate.icp_pose = pose_at(0.05)
    data = run(objects, [([thing], [truth(1, box_at(0))])])
    assert data["extra"]["add_s_recall_by_stage"] == {
        "network": 0.0,
        "refined": 1.0,
        "icp": 0.0,
        "estimated": 1.0,
        "published": 0.0,
    }
    assert data["pose"]["objects"]["1"]["add_s_recall"] == 1.0


def test_a_stage_is_asked_only_where_it_was_run(objects):
    """ICP of the network's pose, left out where the track's prediction convinced; a miss is one of every stage."""
    frames = []
    for icp_pose in (pose_at(0.0), pose_at(0.05), None):
        thing = tracked(1, box_at(0))
        estimate_of(thing).icp_pose = icp_pose
        frames.append(([thing], [truth(1, box_at(0))]))
    frames.append(([], [truth(1, box_at(0))]))
    recalls = run(objects, frames)["extra"]["objects"]["1"]["add_s_recall_by_stage"]
    assert recalls["icp"] == pytest.approx(1 / 3)
    assert recalls["estimated"] == pytest.approx(3 / 4)


def test_score_matches_by_stamp_and_counts_drops(objects):
    samples = [sample(i, [truth(1, box_at(0))]) for i in range(4)]
    results = {r.stamp_ns: r for r in (result(i, [tracked(1, box_at(0))]) for i in (0, 2, 3))}
    drawn = []
    data = score(
        samples, results, objects, source="bag", model="m", on_frame=lambda s, *rest: drawn.append(s.frame.stamp_ns)
    ).data
    assert (data["frames"], data["frames_dropped"]) == (3, 1)
    assert data["pose"]["objects"]["1"]["instances"] == 3
    assert drawn == sorted(results)


def test_latency_is_null_where_unknown(objects):
    scorer = Scorer(objects)
    scorer.add(sample(0, []), FrameResult(100_000_000, []))
    data = scorer.report("bag", "m").data
    assert data["latency_ms"]["total"] == {"median": None, "p99": None}
    assert data["fps"] is None


def candidates_of(objects_and_rejected, **fields):
    """A frame result whose candidates are the detections of all given objects, of which the first are accepted."""
    accepted, rejected = objects_and_rejected
    out = result(0, accepted)
    out.candidates = [o.detection for o in (*accepted, *rejected)]
    return out


def with_confidence(tracked_object: TrackedObject, confidence: float) -> TrackedObject:
    estimate_of(tracked_object).confidence = confidence
    return tracked_object


def test_confidence_is_judged_before_it_was_asked(objects):
    """Right .9 and .25 (rejected), wrong .6, not there .1 (rejected): 3 of the 4 pairs are in order."""
    scorer = Scorer(objects)
    accepted = [
        with_confidence(tracked(1, box_at(0)), 0.9),
        with_confidence(tracked(1, box_at(50), pose_at(0.05, 0.05), track_id=2), 0.6),
    ]
    rejected = [
        with_confidence(tracked(2, box_at(100)), 0.25),
        with_confidence(tracked(2, box_at(120, 90), pose_at(0.3)), 0.1),
    ]
    for thing in rejected:
        estimate_of(thing).raw_pose = estimate_of(thing).pose
    truths = [truth(1, box_at(0)), truth(1, box_at(50), pose_at(0.2), instance_id=2), truth(2, box_at(100))]
    scorer.add(sample(0, truths), candidates_of((accepted, rejected)))
    data = scorer.report("made up", "test").data
    figures = data["extra"]["confidence"]
    assert (figures["right"], figures["wrong"], figures["absent"]) == (2, 1, 1)
    assert figures["roc_auc"] == 0.75
    assert figures["roc_auc_absent"] == 1.0
    assert (figures["precision"], figures["recall"]) == (0.5, 0.5)
    assert data["extra"]["objects"]["1"]["confidence"]["roc_auc"] == 1.0
    # What was rejected counts in the steps before the rejection, and as a failure after it.
    assert data["extra"]["objects"]["2"]["add_s_recall_by_stage"]["network"] == 1.0
    assert data["pose"]["objects"]["2"]["add_s_recall"] == 0.0
    assert data["extra"]["all_instances"]["add_s_recall"] == pytest.approx(1 / 3)
    assert data["extra"]["segmentation_before_pose_check"]["map50"] > data["segmentation"]["map50"]


def test_classes_that_never_occur_are_false_where_the_annotation_is_complete(objects):
    estimates = [tracked(1, box_at(0)), tracked(2, box_at(50), track_id=2)]
    for complete, false in ((False, 0), (True, 1)):
        scorer = Scorer(objects)
        scorer.add(sample(0, [truth(1, box_at(0))], complete=complete), result(0, estimates))
        extra = scorer.report("made up", "test").data["extra"]
        assert extra["false_positives_per_frame"] == false
        assert extra["confidence"]["absent"] == false

    scorer = Scorer(objects)
    scorer.add(sample(0, [], complete=True), result(0, estimates))
    extra = scorer.report("stills", "test").data["extra"]
    assert extra["false_positives_per_frame"] == 2
    assert extra["confidence"]["absent"] == 2


def test_bops_average_recalls_are_reported(objects):
    """0.17 of the diameter is right at 0.2 to 0.5, seven of the ten thresholds; the second brick is missed."""
    shift = 0.17 * objects[1].diameter
    truths = [truth(1, box_at(0)), truth(1, box_at(50), pose_at(0.3), instance_id=2)]
    data = run(objects, [([tracked(1, box_at(0), pose_at(shift))], truths)])
    assert data["bop"]["all"]["targets"] == 2
    assert data["bop"]["all"]["ar_mssd"] == pytest.approx(0.5 * 7 / 10)
    assert data["bop"]["objects"]["1"] == data["bop"]["all"]
    assert data["bop"]["objects"]["2"]["ar"] is None
    hidden = [truths[0], truth(1, box_at(50), pose_at(0.3), instance_id=2, visibility=0.1)]
    assert run(objects, [([tracked(1, box_at(0), pose_at(shift))], hidden)])["bop"]["all"]["targets"] == 1


def test_shift_and_turn_of_the_poses_are_reported(objects):
    half = np.diag([-1.0, -1.0, 1.0, 1.0])
    pair = [tracked(1, box_at(0), pose_at(0.003)), tracked(2, box_at(50), pose_at(0.001) @ half, track_id=2)]
    extra = run(objects, [(pair, [truth(1, box_at(0)), truth(2, box_at(50))])])["extra"]["objects"]
    assert extra["1"]["median_translation_m"] == pytest.approx(0.003)
    assert extra["2"]["median_translation_m"] == pytest.approx(0.001)
    assert extra["2"]["median_rotation_deg"] == pytest.approx(0, abs=1e-3)  # half a turn is a symmetry of the plate
    nothing = run(objects, [([], [truth(1, box_at(0))])])["extra"]["objects"]["1"]
    assert (nothing["median_translation_m"], nothing["median_rotation_deg"]) == (None, None)


def test_the_covariances_of_right_poses_are_judged(objects):
    off, far = pose_at(0), pose_at(0)
    off[:3, 3] += [0.002, 0.0, 0.003]  # the stated standard deviation is 1 mm
    far[:3, 3] += 0.1
    frames = [([tracked(1, box_at(0), pose)], [truth(1, box_at(0))]) for pose in (pose_at(0), off, far)]
    data = run(objects, frames)
    for stage in ("estimated", "published"):
        figures = data["extra"]["covariance"][stage]
        assert (figures["poses"], figures["within_95"]) == (2, 0.5)
        assert figures["nees"] == pytest.approx((4 + 9) / 2)
    assert "estimated NEES 6.5, 50.0" in format_table(cast(ReportData, data))
    del data["extra"]["covariance"]  # as in a report of 0.1.0
    assert "NEES" not in format_table(cast(ReportData, data))
    assert run(objects, [([], [truth(1, box_at(0))])])["extra"]["covariance"]["published"]["nees"] is None


def test_a_covariance_of_nothing_is_overconfident_and_no_failure(objects):
    nothing = tracked(1, box_at(0), covariance=np.zeros((6, 6)))
    figures = run(objects, [([nothing], [truth(1, box_at(0))])])["extra"]["covariance"]
    assert figures["published"]["nees"] == 0.0
    off = pose_at(0)
    off[0, 3] += 0.001
    figures = run(objects, [([replace(nothing, pose=off)], [truth(1, box_at(0))])])["extra"]["covariance"]
    assert figures["published"]["within_95"] == 0.0


def test_the_summary_names_the_worst_object_and_frame(objects):
    frames = [
        ([tracked(1, box_at(0)), tracked(2, box_at(50), track_id=2)], [truth(1, box_at(0)), truth(2, box_at(50))]),
        ([tracked(1, box_at(0), pose_at(0.05))], [truth(1, box_at(0)), truth(2, box_at(50))]),
        ([tracked(1, box_at(0))], [truth(1, box_at(0)), truth(2, box_at(50))]),
    ]
    summary = run(objects, frames)["summary"]
    assert summary["worst_object"] == {"obj_id": 2, "name": "plate", "add_s_recall": pytest.approx(1 / 3)}
    worst = summary["worst_frame"]
    assert (worst["frame"], worst["missed"], worst["wrong_poses"], worst["false_positives"]) == (1, 1, 1, 0)
    assert worst["largest_error"] == pytest.approx(0.05 / objects[1].diameter)
    assert run(objects, [([], None)])["summary"] == {"worst_object": None, "worst_frame": None}
    # Where nothing fails it is the frame with the largest error; where nothing is there to fail, there is none.
    fine = [([tracked(1, box_at(0), pose_at(x))], [truth(1, box_at(0))]) for x in (0.001, 0.003, 0.002)]
    assert run(objects, fine)["summary"]["worst_frame"]["frame"] == 1
    assert run(objects, [([], [])])["summary"]["worst_frame"] is None


def test_false_positives_of_a_frame_count_where_the_class_is_annotated(objects):
    scorer = Scorer(objects)
    pair = [tracked(1, box_at(100)), tracked(2, box_at(50), track_id=2)]
    judged = present(scorer.add(sample(0, [truth(1, box_at(0))]), result(0, pair)))
    assert (judged.missed, judged.false_positives) == (1, 1)
    assert scorer.add(sample(1, None), result(1, pair)) is None


def test_stages_of_the_detector_count_only_frames_in_which_it_ran(objects):
    """The detector runs in every other frame; between them the track is followed on the depth."""
    scorer = Scorer(objects)
    for i in range(4):
        thing = tracked(1, box_at(0))
        estimate_of(thing).raw_pose = thing.pose
        frame = result(i, [thing])
        frame.segmented = i % 2 == 0
        frame.candidates = [present(thing.detection)] if frame.segmented else []
        scorer.add(sample(i, [truth(1, box_at(0))]), frame)
    data = scorer.report("made up", "test").data
    recalls = {"network": 1.0, "estimated": 1.0, "published": 1.0}
    assert data["extra"]["objects"]["1"]["add_s_recall_by_stage"] == recalls
    assert data["extra"]["all_instances"]["add_s_recall_by_stage"] == recalls
    assert data["pose"]["objects"]["1"]["add_s_recall"] == 1.0


def test_what_was_found_on_the_depth_is_no_pose_of_the_detectors_stages(objects):
    """The detector runs and sees the first of two bricks; the second is followed on the depth."""
    seen, followed = tracked(1, box_at(0)), tracked(1, box_at(50), pose_at(0.2), track_id=2)
    estimate_of(seen).raw_pose = seen.pose
    frame = result(0, [seen, followed])
    frame.candidates = [present(seen.detection)]
    scorer = Scorer(objects)
    scorer.add(sample(0, [truth(1, box_at(0)), truth(1, box_at(50), pose_at(0.2), instance_id=2)]), frame)
    entry = cast(dict[str, Any], scorer.report("made up", "test").data)
    assert entry["extra"]["add_s_recall_by_stage"] == {
        "network": 0.5, "refined": None, "icp": None, "estimated": 0.5, "published": 1.0,
    }  # fmt: skip
    assert entry["pose"]["objects"]["1"]["add_s_recall"] == 1.0


def test_masks_before_the_pose_check_are_those_of_frames_in_which_the_detector_ran(objects):
    scorer = Scorer(objects)
    for i in range(4):
        frame = result(i, [tracked(1, box_at(0))])
        frame.segmented = i % 2 == 0
        frame.candidates = [present(frame.objects[0].detection)] if frame.segmented else []
        scorer.add(sample(i, [truth(1, box_at(0))]), frame)
    extra = scorer.report("made up", "test").data["extra"]
    assert extra["segmentation_before_pose_check"]["map50"] == pytest.approx(1)
