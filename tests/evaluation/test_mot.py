"""Sequences in MOTChallenge's layout: scored as TrackEval does, and read, tracked and refused as documented.

The cases in ``mot_cases`` are random; ``expected.json`` has what TrackEval 1.0.0 said of them (benchmarks MOT15, MOT17
and MOT20, preprocessing as by default), of each and of those of a benchmark together.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tracking_scenario import one_object
from typer.testing import CliRunner

from pose_tracking.cli.main import build
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.datasets.mot import read_sequence
from pose_tracking.datasets.mot_rows import MotRow, read_rows
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox, TrackingAccumulator
from pose_tracking.evaluation.mot import GivenDetector, MotClasses, mot_frames, mot_truths, pipeline_detections
from pose_tracking.evaluation.mot_report import evaluate_mot, format_scores
from pose_tracking.evaluation.trackers.recordings import Recording
from pose_tracking.objects import ObjectSet
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter
from pose_tracking.tracking import TrackingConfig

CASES = Path(__file__).parent / "mot_cases"
EXPECTED = json.loads((CASES / "expected.json").read_text())
NAMES = sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())


def add_case(accumulator: TrackingAccumulator, name: str) -> None:
    sequence = read_sequence(CASES / name)
    tracks: list[list[IdentifiedBox]] = [[] for _ in range(sequence.length)]
    for row in read_rows(CASES / name / "tracks.txt", sequence.length):
        tracks[row.frame - 1].append(IdentifiedBox((name, row.identity), 1, row.box))
    for found, truths in zip(tracks, mot_truths(sequence, {1: 1}, NAMES.index(name)), strict=True):
        accumulator.add(found, truths)


@pytest.mark.parametrize("name", NAMES)
def test_a_case_has_the_scores_of_trackeval(name: str) -> None:
    accumulator = TrackingAccumulator(mot_challenge=True)
    add_case(accumulator, name)
    scores = accumulator.scores()
    assert {key: scores[key] for key in EXPECTED[name]} == pytest.approx(EXPECTED[name], abs=1e-9)


@pytest.mark.parametrize("benchmark", ["MOT15", "MOT17", "MOT20"])
def test_several_sequences_have_the_scores_of_trackeval_together(benchmark: str) -> None:
    accumulator = TrackingAccumulator(mot_challenge=True)
    for name in NAMES:
        if name.startswith(benchmark):
            add_case(accumulator, name)
    scores = accumulator.scores()
    assert {key: scores[key] for key in EXPECTED[benchmark]} == pytest.approx(EXPECTED[benchmark], abs=1e-9)


def write_sequence(folder: Path, truths: str, detections: str | None = None, labels: str | None = None) -> Path:
    (folder / "gt").mkdir(parents=True)
    (folder / "gt/gt.txt").write_text(truths)
    (folder / "seqinfo.ini").write_text(
        "[Sequence]\nname=walk\nimDir=img1\nframeRate=20\nseqLength=5\nimWidth=200\nimHeight=100\nimExt=.jpg\n"
    )
    if labels is not None:
        (folder / "gt/labels.txt").write_text(labels)
    if detections is not None:
        (folder / "det").mkdir()
        (folder / "det/det.txt").write_text(detections)
    return folder


def walk(label: int) -> str:
    """Someone who walks to the right, and is half hidden in the last frame."""
    return "".join(f"{t},7,{10 + 2 * t},20,30,60,1,{label},{0.2 if t == 5 else 1}\n" for t in range(1, 6))


def seen() -> str:
    return "".join(f"{t},-1,{10 + 2 * t},20,30,60,0.9,-1,-1,-1\n" for t in range(1, 6))


def test_pixels_and_frames_are_counted_from_one_in_the_files_only(tmp_path) -> None:
    sequence = read_sequence(write_sequence(tmp_path / "a", walk(1)))
    assert sequence.truths is not None
    assert sequence.truths[0].box.tolist() == [11, 19, 41, 79]
    assert sequence.stamp_ns(2) == 50_000_000
    row = MotRow(3, 4, np.array([0.0, 9.0, 20.0, 19.0]), 0.5)
    assert row.text == "3,4,1.00,10.00,20.00,10.00,0.5,-1,-1,-1"


def test_given_detections_are_tracked_and_scored_without_images(tmp_path) -> None:
    sequence = read_sequence(write_sequence(tmp_path / "a", walk(1), seen()))
    classes = MotClasses.of([sequence], one_object(1, 2))
    assert classes.ids == {1: 3}  # the model knows no pedestrian: it gets a number of its own
    assert classes.known == frozenset()
    detect = GivenDetector(sequence, classes, None, 1).detect
    frames = mot_frames(sequence, classes.ids, 1, detect)
    about = {"source": "walk", "model": "m", "detections": "det", "min_visib": 0.3, "noisy_gt": None}
    data = evaluate_mot([sequence], Recording(frames, about), classes, TrackingConfig(), tmp_path / "out")
    # The first frame has no confirmed track yet; the half hidden one counts, as MOTChallenge does not look at that.
    assert data["all"]["fn"] == 1
    assert data["all"]["id_switches"] == 0
    assert data["all"]["mota"] == pytest.approx(0.8)
    assert (tmp_path / "out/walk.txt").read_text().splitlines()[0].startswith("2,1,14.00,20.00,30.00,60.00,")
    assert json.loads((tmp_path / "out/scores.json").read_text()) == data
    assert "80.000 %" in format_scores(data)


def test_named_classes_go_by_the_models_names_and_ignore_what_is_hidden(tmp_path) -> None:
    sequence = read_sequence(write_sequence(tmp_path / "a", walk(2), None, "cup\nThing2\n"))
    classes = MotClasses.of([sequence], one_object(1, 2))
    assert classes.ids == {1: 3, 2: 2}
    assert classes.known == {2}
    assert [t.ignored for frame in mot_truths(sequence, classes.ids, 1) for t in frame] == [False] * 4 + [True]


class Recorder(Segmenter):
    """Notes the boxes it is asked about."""

    config = SegmentationConfig()

    def __init__(self) -> None:
        self.asked: list[tuple[list, list]] = []

    def segment(self, frame: RGBDFrame) -> Instances:
        raise AssertionError("the boxes are given")

    def instances_at(self, frame: RGBDFrame, boxes: np.ndarray, obj_ids: np.ndarray) -> Instances:
        self.asked.append((boxes.tolist(), obj_ids.tolist()))
        count, (height, width) = len(boxes), frame.color.shape[:2]
        features = np.ones((count, 4, 7, 7), np.float32)
        masks = np.zeros((count, height, width), bool)
        return Instances(obj_ids, np.ones(count, np.float32), boxes.astype(np.float32), masks, features)


def test_features_are_taken_inside_the_image_whatever_the_class(tmp_path) -> None:
    import cv2

    folder = write_sequence(tmp_path / "a", walk(1), "1,-1,-20,50,60,80,0.9\n")
    (folder / "img1").mkdir()
    cv2.imwrite(str(folder / "img1/000001.jpg"), np.full((100, 200, 3), 90, np.uint8))
    sequence = read_sequence(folder)
    segmenter = Recorder()
    detector = GivenDetector(sequence, MotClasses.of([sequence], one_object(5)), segmenter, 5)
    (found,) = detector.detect(1)
    assert segmenter.asked == [([[0, 49, 39, 100]], [5])]
    assert found.box.tolist() == [-21, 49, 39, 129]  # tracked as given
    assert found.feature is not None
    assert detector.detect(2) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,7,10,20,30", ["line 1", "5 columns"]),
        ("1,7,10,20,x,60,1,1,1", ["line 1", "no number"]),
        ("1,7,10,20,nan,60,1,1,1", ["line 1", "finite"]),
        ("0,7,10,20,30,60,1,1,1", ["line 1", "frame 0"]),
        ("1.5,7,10,20,30,60,1,1,1", ["line 1", "frame 1.5"]),
        ("9,7,10,20,30,60,1,1,1", ["line 1", "frame 9", "has 5"]),
        ("1,7,10,20,-30,60,1,1,1", ["line 1", "-30x60"]),
        ("1,7,10,20,30,60,1,99,1", ["class 99", "1 to 13"]),
        ("1,7,10,20,30,60,1,1,1\n1,7,90,20,30,60,1,1,1", ["identity 7", "twice", "frame 1"]),
    ],
)
def test_a_bad_line_is_named(tmp_path, line: str, words: list[str]) -> None:
    with pytest.raises(DatasetError) as caught:
        read_sequence(write_sequence(tmp_path / "a", line + "\n"))
    assert all(word in str(caught.value) for word in ["gt.txt", *words])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ("", ["Sequence"]),
        ("nonsense", ["Sequence"]),
        ("[Sequence]\nframeRate=20\n", ["seqLength"]),
        ("[Sequence]\nframeRate=20\nseqLength=many\n", ["seqLength = many"]),
        ("[Sequence]\nframeRate=0\nseqLength=5\nimWidth=9\nimHeight=9\n", ["frameRate = 0"]),
        ("[Sequence]\nframeRate=25\nseqLength=5.5\nimWidth=9\nimHeight=9\n", ["seqLength = 5.5"]),
    ],
)
def test_bad_sequence_information_is_named(tmp_path, info: str, words: list[str]) -> None:
    folder = write_sequence(tmp_path / "a", walk(1))
    (folder / "seqinfo.ini").write_text(info)
    with pytest.raises(DatasetError) as caught:
        read_sequence(folder)
    assert all(word in str(caught.value) for word in ["seqinfo.ini", *words])
    assert "\n" not in str(caught.value)


def test_what_a_folder_or_model_lacks_is_said(tmp_path) -> None:
    plain = read_sequence(write_sequence(tmp_path / "a", walk(1)))
    named = read_sequence(write_sequence(tmp_path / "b", walk(1), seen(), "cup\nspoon\n"))
    none = MotClasses.of([plain], ObjectSet({}))
    with pytest.raises(DatasetError, match=r"no det/det\.txt"):
        GivenDetector(plain, none, None, 1)
    with pytest.raises(DatasetError, match=r"frame 1: class -1 \(8th column\) is none of 1 to 2"):
        GivenDetector(named, MotClasses.of([named], one_object(1)), None, 1)
    with pytest.raises(ConfigError, match="knows none of its classes"):
        pipeline_detections(plain, none, lambda sample: [], 1)
    with pytest.raises(DatasetError, match="other classes"):
        MotClasses.of([plain, named], one_object(1))
    with pytest.raises(DatasetError, match=r"000001\.jpg"):
        plain.frame(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--detections", "noisy-gt"], "no poses to draw it from"),
        (["--motion", "pose"], "--motion pose: nothing in a folder"),
        (["--protocol", "ycbineoat"], "--protocol is not for folders"),
        (["--max-frames", "3"], "--max-frames is not for folders"),
        ([], "knows none of its classes \\(pedestrian\\)"),
    ],
)
def test_evaluate_refuses_what_says_nothing_of_such_a_folder(tmp_path, options: list[str], words: str) -> None:
    folder = write_sequence(tmp_path / "a", walk(1), seen())
    arguments = ["evaluate", str(folder), "--model", "demo", "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(build("evaluate"), arguments)
    assert isinstance(result.exception, ConfigError)
    assert re.search(words, str(result.exception))
