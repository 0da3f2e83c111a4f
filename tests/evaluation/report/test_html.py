"""The page shows what was measured and says why the rest is left out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation_cases import box_at, make_objects, pose_at, result, sample, tracked, truth

from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation import FrameResult, score, score_to_folder
from pose_tracking.evaluation.report.html import Picture, Pictures, render_html
from pose_tracking.evaluation.report.recorder import describe
from pose_tracking.evaluation.report.results import FrameScore, Report
from pose_tracking.evaluation.report.section import LeftOut
from pose_tracking.evaluation.report.sections import figures, sections
from pose_tracking.objects import ObjectSet

FRAMES = 4


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


def samples() -> list[Sample]:
    """A brick in each frame, and in the third one a plate that nothing finds."""
    plates = {2: [truth(2, box_at(100))]}
    return [sample(i, [truth(1, box_at(0)), *plates.get(i, [])], scene_id=3, image_id=i) for i in range(FRAMES)]


def over_dds(number: int) -> FrameResult:
    """What comes back from a node: neither detections nor masks, and here no times."""
    thing = replace(tracked(1, box_at(0), pose_at(0.0)), detection=None, mask=None)
    return FrameResult((number + 1) * 100_000_000, [thing])


def report_of(results: list[FrameResult], objects: ObjectSet, given: list[Sample] | None = None) -> Report:
    by_stamp = {r.stamp_ns: r for r in results}
    return score(given or samples(), by_stamp, objects, source="bag", model="test")


def test_over_dds_what_was_not_measured_is_left_out(objects: ObjectSet) -> None:
    report = report_of([over_dds(i) for i in range(FRAMES)], objects)
    shown, left_out = sections(report)
    assert [section.title for section in shown] == ["Poses", "Covariance of the poses", "Tracking", "Detections"]
    assert [part.title for part in left_out] == [
        "What each step of the pose stage buys", "Masks", "Pose confidence", "Latency",
    ]  # fmt: skip
    assert all(part.reason for part in left_out)
    page = render_html(report)
    for part in left_out:
        assert f"{part.title}: {part.reason}." in page
    # A dash stands only where a total has no such figure.
    assert page.count("<td>–</td>") <= 2 * len(shown[0].tables[0].head)
    assert report.data["extra"]["segmentation_before_pose_check"] == {"map": None, "map50": None}


def test_with_everything_measured_nothing_is_left_out(objects: ObjectSet) -> None:
    results = [result(i, [tracked(1, box_at(0))]) for i in range(FRAMES)]
    shown, left_out = sections(report_of(results, objects))
    assert left_out == []
    assert len(shown) == 8
    (covariance,) = (section for section in shown if section.title == "Covariance of the poses")
    assert [row[1:] for row in covariance.tables[0].rows] == [[str(FRAMES), "0.0", "100.0%"]] * 2  # the poses are exact


def test_without_ground_truth_the_page_says_what_was_found(objects: ObjectSet) -> None:
    bare = [sample(i, None) for i in range(FRAMES)]
    report = report_of([result(i, [tracked(1, box_at(0))]) for i in range(FRAMES)], objects, bare)
    assert [figure.label for figure in figures(report.data)] == ["detections", "latency"]
    shown, left_out = sections(report)
    assert [section.title for section in shown] == ["Tracking", "Detections", "Latency"]
    assert {part.reason for part in left_out if part.title in ("Poses", "Masks")} == {"no frame is annotated"}
    assert "no ground truth" in render_html(report)


def test_a_source_without_anything_is_a_page_too(objects: ObjectSet) -> None:
    report = report_of([FrameResult((i + 1) * 100_000_000, []) for i in range(FRAMES)], objects, [sample(0, [])])
    shown, left_out = sections(report)
    assert "Poses" in {part.title for part in left_out}
    assert all(isinstance(part, LeftOut) for part in left_out)
    assert "<h1>test on bag</h1>" in render_html(report)


def test_without_meshes_the_page_says_that_no_error_can_be_told(tmp_path: Path) -> None:
    report = report_of([over_dds(i) for i in range(FRAMES)], make_objects(tmp_path, meshes=False))
    poses = sections(report)[0][0]
    assert list(poses.tables[0].head)[:3] == ["object", "instances", "detected"]
    assert "no meshes" in poses.note
    assert "average recall" not in [figure.label for figure in figures(report.data)]


def test_the_summary_stands_first(objects: ObjectSet) -> None:
    results = [result(i, [tracked(1, box_at(0))]) for i in range(FRAMES)]
    page = render_html(report_of(results, objects))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[0] == "Summary"
    assert "0 ID switches" in page
    assert re.search(r"Lowest recall: <strong>plate</strong>, 0\.0 %", page)
    assert "average recall" in page


def test_the_worst_frame_is_shown_and_linked_into_the_video(objects: ObjectSet, tmp_path: Path) -> None:
    results = {r.stamp_ns: r for r in (result(i, [tracked(1, box_at(0))]) for i in range(FRAMES))}
    report = score_to_folder(samples(), results, objects, tmp_path, source="bag", model="test", fps=5.0)
    assert report.data["summary"]["worst_frame"] == {
        "scene_id": 3, "image_id": 2, "frame": 2, "missed": 1, "wrong_poses": 0, "false_positives": 0,
        "largest_error": 0.0,
    }  # fmt: skip
    page = (tmp_path / "report.html").read_text()
    worst = page[page.index("Worst frame") : page.index("</figure>")]
    assert "1 instance missed" in worst
    assert 'href="overlay.webm#t=0.50"' in worst  # the middle of the third frame at 5 Hz
    score_to_folder(samples(), results, objects, tmp_path, source="bag", model="test", video=False)
    page = (tmp_path / "report.html").read_text()
    assert "Worst frame" in page
    assert "overlay.webm" not in page


def test_texts_are_escaped(objects: ObjectSet) -> None:
    results = {r.stamp_ns: r for r in [over_dds(0)]}
    report = score(samples(), results, objects, source="<script>", model='"&')
    page = render_html(report, Pictures([Picture(b"x", "image/png", "<b>", 'a"b')], note="<i>"))
    for raw in ("<script>", "<b>", "<i>", 'a"b'):
        assert raw not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (FrameScore(1, 1, 1, missed=1), "1 instance missed"),
        (FrameScore(1, 1, 1, missed=2, wrong_poses=1, false_positives=3), "2 instances missed, 1 wrong pose, 3 false"),
        (FrameScore(1, 1, 1, largest_error=0.034), "nothing failed; largest error 3.4% of the diameter"),
    ],
)
def test_what_went_wrong_is_said_in_words(score: FrameScore, words: str) -> None:
    assert describe(score).startswith(words)
