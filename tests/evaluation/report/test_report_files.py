"""The files of a report: they parse back, and they are all there or none is."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_cases import box_at, make_objects, pose_at, result, sample, tracked, truth

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.errors import DatasetError, FrameError, OutputError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import rotation_from_quaternion_xyzw
from pose_tracking.core.results import TrackedObject
from pose_tracking.evaluation import FrameResult, evaluate_to_folder, score_to_folder
from pose_tracking.evaluation.report.files import REPORT_FILES, check_writable, report_folder
from pose_tracking.evaluation.report.text import format_table
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pipeline.frame_report import FrameReport

FRAMES = 8


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return make_objects(tmp_path_factory.mktemp("objects"))


class Scene(list):
    """Samples as a source."""

    name = "made <up> scene"


class Replay(PoseTracker):
    """Stands where the pipeline stands and says what it was told to: the evaluation's side is under test here.

    It has no stages of its own, so that nothing else of the pipeline works.
    """

    engines = {"segmentation": "openvino bf16", "pose": "torch fp32"}

    def __init__(self, objects: ObjectSet, answers: list[FrameResult]) -> None:
        self.objects, self.bundle = objects, ModelBundle(Path("test"), BundleConfig(name="test"), objects)
        self.answers, self.done = answers, 0
        self.resets: list[int] = []
        self.report = FrameReport()

    def option(self, name: str) -> float:
        return {"min_pose_confidence": 0.5, "segment_every": 1}[name]

    def reset(self) -> None:
        self.resets.append(self.done)

    def look_ahead(self, frame: RGBDFrame, ahead: int = 1) -> bool:
        return False

    def update(self, frame: RGBDFrame) -> list[TrackedObject]:
        frame.check()
        answer = self.answers[self.done]
        self.done += 1
        self.report = FrameReport(
            dict(answer.stage_times),
            Counter(pose_confidence=1),
            [o.detection for o in answer.objects if o.detection is not None],
            segmented=True,
        )
        return answer.objects


def scene() -> Scene:
    return Scene(
        sample(i, [truth(1, box_at(2 * i), pose_at(0.01 * i)), truth(2, box_at(80))], scene_id=3, image_id=10 + i)
        for i in range(FRAMES)
    )


def answers() -> list[FrameResult]:
    return [
        result(i, [tracked(1, box_at(2 * i), pose_at(0.01 * i)), tracked(2, box_at(80), track_id=7)])
        for i in range(FRAMES)
    ]


@pytest.fixture(scope="module")
def written(objects, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "deep" / "out"
    report = evaluate_to_folder(scene(), Replay(objects, answers()), out, progress=False)
    return out, report


def test_all_files_and_nothing_else(written):
    assert sorted(p.name for p in written[0].iterdir()) == sorted(REPORT_FILES)


def test_json_is_the_report(written):
    out, report = written
    assert json.loads((out / "report.json").read_text()) == report.data
    assert report.data["source"] == "made <up> scene"
    assert report.data["pose"]["mean"]["add_s_recall"] == 1.0
    assert report.data["extra"]["rejected_detections"] == {"pose_confidence": FRAMES}
    assert report.data["extra"]["engines"] == Replay.engines
    assert "The networks of the segmentation ran on openvino bf16" in (out / "report.html").read_text()


def test_the_protocol_of_ycbineoat_is_reported_where_it_is_asked_for(objects, written, tmp_path):
    assert written[1].data["extra"]["ycbineoat"] is None
    assert "YCBInEOAT" not in (written[0] / "report.html").read_text()
    report = evaluate_to_folder(
        scene(), Replay(objects, answers()), tmp_path, progress=False, video=False, ycbineoat=True
    )
    scores = json.loads((tmp_path / "report.json").read_text())["extra"]["ycbineoat"]
    assert scores["objects"]["plate"]["frames"] == FRAMES
    assert scores["all"]["add_auc"] == 1.0
    assert "Protocol of YCBInEOAT" in (tmp_path / "report.html").read_text()
    assert "ADD-S AUC" in format_table(report.data)


def test_a_warning_about_the_camera_is_reported(objects, written, tmp_path):
    class Wrong(Replay):
        def update(self, frame: RGBDFrame) -> list[TrackedObject]:
            found = super().update(frame)
            self.report.camera_warning = "" if self.done == FRAMES else "the depth is too large"
            return found

    report = evaluate_to_folder(scene(), Wrong(objects, answers()), tmp_path, progress=False, video=False)
    assert "warning: the depth is too large" in format_table(report.data)
    assert "the depth is too large" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["extra"]["camera_warning"] == "the depth is too large"
    assert written[1].data["extra"]["camera_warning"] == ""
    assert "warning" not in format_table(written[1].data)


def test_poses_csv_is_bop(written):
    with (written[0] / "poses.csv").open() as file:
        assert file.readline() == "scene_id,im_id,obj_id,score,R,t,time\n"
        file.seek(0)
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * FRAMES
    row = next(r for r in rows if r["im_id"] == "13" and r["obj_id"] == "1")
    assert row["scene_id"] == "3"
    np.testing.assert_allclose([float(v) for v in row["R"].split(" ")], np.eye(3).ravel())
    np.testing.assert_allclose([float(v) for v in row["t"].split(" ")], [30, 0, 600])  # millimetres
    assert float(row["time"]) == pytest.approx(0.31)


def test_tracks_csv(written):
    with (written[0] / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(r["track_id"], r["name"]) for r in rows} == {("1", "brick"), ("7", "plate")}
    row = rows[4]
    assert row["stamp_ns"] == str(3 * 100_000_000)
    assert [float(row[k]) for k in ("x_min", "y_min", "x_max", "y_max")] == box_at(4).tolist()
    np.testing.assert_allclose([float(row[k]) for k in "xyz"], [0.02, 0, 0.6])
    quaternion = [float(row[k]) for k in ("qx", "qy", "qz", "qw")]
    np.testing.assert_allclose(rotation_from_quaternion_xyzw(quaternion), np.eye(3))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.text, self.open = [], "", []

    def handle_starttag(self, tag, attributes):
        self.sources += [v for k, v in attributes if k in ("src", "href")]

    def handle_data(self, data):
        self.text += data + "\n"


def test_html_stands_alone(written):
    page = (written[0] / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    links = [s for s in tags.sources if not s.startswith("data:")]
    images = [s for s in tags.sources if s.startswith("data:")]
    assert len(images) >= 4 + 6  # plots and pictures
    assert all(re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]{100,}$", s) for s in images)
    # All that is outside the page is the video beside it.
    assert {link.partition("#")[0] for link in links} == {"overlay.webm"}
    for text in ("brick", "plate", "made <up> scene", "pose_confidence 8", "100.0%"):
        assert text in tags.text
    assert "<up>" not in page


def test_video_has_every_frame(written):
    video = cv2.VideoCapture(str(written[0] / "overlay.webm"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES
    ok, image = video.read()
    assert ok
    assert image.shape == (120, 160, 3)


def test_table(written):
    text = format_table(written[1].data)
    assert "brick" in text
    assert "MOTA 100.0%" in text
    assert "networks: segmentation on openvino bf16, pose on torch fp32" in text
    assert text.count("\n") < 20


def test_a_new_report_replaces_the_old_one(objects, tmp_path):
    evaluate_to_folder(scene(), Replay(objects, answers()), tmp_path, progress=False)
    (tmp_path / "notes.txt").write_text("mine")
    evaluate_to_folder(scene(), Replay(objects, answers()), tmp_path, progress=False, video=False, max_frames=2)
    assert json.loads((tmp_path / "report.json").read_text())["frames"] == 2
    assert not (tmp_path / "overlay.webm").exists()  # it would be of another run
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_tracks_are_reset_between_scenes(objects):
    from pose_tracking.evaluation import evaluate

    two = Scene(sample(i, [], scene_id=i // 4) for i in range(FRAMES))
    tracker = Replay(objects, [result(i, []) for i in range(FRAMES)])
    evaluate(two, tracker)
    assert tracker.resets == [0, 4]


def test_bad_frame_is_named(objects, tmp_path):
    broken = scene()
    broken[2].frame.depth[:] = 0
    with pytest.raises(FrameError, match=r"made <up> scene: scene 3, image 12: depth image has no valid") as caught:
        evaluate_to_folder(broken, Replay(objects, answers()), tmp_path, progress=False)
    assert caught.value.reason == "depth_empty"
    assert list(tmp_path.iterdir()) == []


def test_empty_source(objects, tmp_path):
    with pytest.raises(DatasetError, match="has no frames"):
        evaluate_to_folder(Scene(), Replay(objects, []), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_results_over_dds_are_written_too(objects, tmp_path):
    results = {r.stamp_ns: r for r in answers()[:5]}
    report = score_to_folder(scene(), results, objects, tmp_path, source="bag", model="test")
    assert (report.data["frames"], report.data["frames_dropped"]) == (5, FRAMES - 5)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(REPORT_FILES)


def test_unwritable_folder_is_found_before_the_run(objects, tmp_path):
    (tmp_path / "file").write_text("in the way")
    tracker = Replay(objects, answers())
    for out in (tmp_path / "file", tmp_path / "file" / "out", "/proc/none/out"):
        with pytest.raises(OutputError, match=str(out).replace("/", r"\/")) as caught:
            evaluate_to_folder(scene(), tracker, out, progress=False)
        assert "\n" not in str(caught.value)
    assert tracker.done == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path)


@pytest.fixture
def small_disk():
    """Writes beyond 8 kB of a file fail, as they do on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("video", [False, True])
def test_disk_full_leaves_no_half_report(objects, tmp_path, small_disk, video):
    (tmp_path / "report.json").write_text("old")
    with pytest.raises(OutputError, match="cannot") as caught:
        evaluate_to_folder(scene(), Replay(objects, answers()), tmp_path, progress=False, video=video)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "old"


def test_report_folder_moves_nothing_on_error(tmp_path):
    def fail():
        with report_folder(tmp_path) as folder:
            (folder / "report.json").write_text("{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
