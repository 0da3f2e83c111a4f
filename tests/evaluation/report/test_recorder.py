"""The pictures of the report: frames over the run, and the worst ones with what went wrong in red."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_cases import box_at, make_objects, result, sample, tracked, truth

from pose_tracking.evaluation.report.html import Picture
from pose_tracking.evaluation.report.recorder import APART, WORST, Recorder
from pose_tracking.evaluation.report.results import FrameFaults, FrameScore
from pose_tracking.objects import ObjectSet


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


def record(objects: ObjectSet, folder: Path, scores: list[FrameScore | None]) -> list[Picture]:
    with Recorder(folder, objects, len(scores), video=False) as recorder:
        for i, score in enumerate(scores):
            recorder.add(sample(i, [truth(1, box_at(0))], scene_id=3, image_id=i), result(i, []), score)
        return list(recorder.pictures.worst)


def missed(frame: int, count: int, scene: int = 3) -> FrameScore:
    return FrameScore(scene, frame, frame, missed=count)


def captions(pictures: list[Picture]) -> list[str]:
    return [picture.caption.split(": ")[1] for picture in pictures]


def test_the_worst_frames_come_worst_first_and_one_of_a_lasting_failure(objects: ObjectSet, tmp_path: Path) -> None:
    scores: list[FrameScore | None] = [FrameScore(3, i, i, largest_error=0.01) for i in range(5 * APART)]
    scores[2], scores[3], scores[4] = missed(2, 1), missed(3, 4), missed(4, 2)
    scores[3 * APART] = missed(3 * APART, 2)
    scores[4 * APART + 5] = FrameScore(3, 45, 45, false_positives=3)
    scores[1] = None  # a frame without annotation
    assert captions(record(objects, tmp_path, scores)) == [
        "4 instances missed", "3 false positives", "2 instances missed",
    ]  # fmt: skip


def test_only_so_many_are_kept(objects: ObjectSet, tmp_path: Path) -> None:
    scores: list[FrameScore | None] = [missed(i, 1 + i, scene=i) for i in range(WORST + 3)]
    kept = captions(record(objects, tmp_path, scores))
    assert kept == [f"{1 + i} instances missed" for i in reversed(range(3, WORST + 3))]


def test_without_a_failure_the_frame_of_the_largest_error_is_shown(objects: ObjectSet, tmp_path: Path) -> None:
    scores: list[FrameScore | None] = [FrameScore(3, i, i, largest_error=e) for i, e in enumerate((0.02, 0.05, 0.03))]
    assert captions(record(objects, tmp_path, scores)) == ["nothing failed; largest error 5.0% of the diameter"]
    assert record(objects, tmp_path, [FrameScore(3, 0, 0)]) == []


def red(picture: Picture) -> int:
    decoded = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    image = decoded[..., ::-1].astype(int)
    return int(((image[..., 0] > 150) & (image[..., 1] < 90) & (image[..., 2] < 90)).sum())


@pytest.mark.parametrize(
    "faults",
    [
        FrameFaults(missed=[truth(1, box_at(0))]),
        FrameFaults(wrong_poses=[tracked(1, box_at(0))]),
        FrameFaults(false_positives=[tracked(1, box_at(0))]),
    ],
)
def test_what_went_wrong_is_drawn_in_red(objects: ObjectSet, tmp_path: Path, faults: FrameFaults) -> None:
    plain, marked = (
        record(objects, tmp_path, [FrameScore(3, 0, 0, missed=1, faults=f)])[0] for f in (FrameFaults(), faults)
    )
    assert red(marked) > red(plain) + 50
