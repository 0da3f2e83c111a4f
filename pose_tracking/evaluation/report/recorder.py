"""Draws the frames of a run: the overlay video, some frames of the run and the worst ones for the HTML report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import cv2

from pose_tracking.core.arrays import UInt8, even_indices
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.metrics.identities import truth_box
from pose_tracking.objects import ObjectSet
from pose_tracking.visualization.overlay import OverlayPainter, mark
from pose_tracking.visualization.video import VideoWriter

from .html import Picture, Pictures
from .results import FrameResult, FrameScore

EXAMPLES = 6
WORST = 6
APART = 10  # frames: a failure that lasts is shown once
VIDEO = "overlay"  # .webm, or .mp4 where OpenCV cannot write that


class Recorder:
    """Writes the overlay video and keeps pictures of some frames.

    Args:
        folder: where ``overlay.webm`` (or ``.mp4``) is written.
        objects: the object set.
        frames: expected number of frames, over which the pictures are spread.
        fps: frame rate of the video.
        video: whether to write one.
    """

    def __init__(self, folder: Path, objects: ObjectSet, frames: int, *, fps: float = 10.0, video: bool = True) -> None:
        self._objects = objects
        self._painter = OverlayPainter(objects)
        self._chosen = set(even_indices(max(frames, 1), EXAMPLES).tolist())
        self._video = VideoWriter(folder / VIDEO, fps) if video else None
        self._fps = fps
        self._frame = 0
        self._examples: list[Picture] = []
        self._worst: list[_Failure] = []

    @property
    def pictures(self) -> Pictures:
        """The pictures so far, linked into the video where there is one."""
        note = "" if self._video is None else self._video.note
        examples, worst = self._examples, [failure.picture for failure in self._worst]
        if self._video is None or note:
            examples, worst = ([replace(picture, link="") for picture in some] for some in (examples, worst))
        return Pictures(examples, worst, note)

    def add(self, sample: Sample, result: FrameResult, score: FrameScore | None) -> None:
        """Draw one frame, and keep it where it is among the worst so far."""
        example = self._frame in self._chosen
        worst = score is not None and self._is_worse(score)
        if self._video is not None or example or worst:
            image = self._painter.draw(sample.frame, result.objects)
            if self._video is not None:
                self._video.write(image)
            caption = f"scene {sample.scene_id}, stamp {sample.frame.stamp:.3f} s"
            if example:
                self._examples += self._picture(image, caption)
            if worst and score is not None:
                marked = _marked(image, sample, score, self._objects)
                for picture in self._picture(marked, f"{caption}: {describe(score)}"):
                    self._keep(_Failure(score, picture))
        self._frame += 1

    def _is_worse(self, score: FrameScore) -> bool:
        """Whether a frame belongs among the worst: those without a failure only as long as there is none with one."""
        if self._worst and not score.rank[0]:
            return not self._worst[0].score.rank[0] and score.rank > self._worst[0].score.rank
        beside = [failure for failure in self._worst if failure.is_beside(score)]
        others = beside or (self._worst[-1:] if len(self._worst) == WORST else [])
        return score.rank > max((failure.score.rank for failure in others), default=(0, 0.0))

    def _keep(self, new: _Failure) -> None:
        kept = [f for f in self._worst if not f.is_beside(new.score) and f.score.rank[0]]
        self._worst = sorted([*kept, new], key=lambda f: f.score.rank, reverse=True)[:WORST]

    def _picture(self, image: UInt8, caption: str) -> list[Picture]:
        """The picture, or none where it cannot be encoded."""
        encoded, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
        # The middle of the frame: at its very beginning players show the one before.
        link = "" if self._video is None else f"{self._video.path.name}#t={(self._frame + 0.5) / self._fps:.2f}"
        return [Picture(data.tobytes(), "image/jpeg", caption, link)] if encoded else []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close(check=error is None)


@dataclass(frozen=True)
class _Failure:
    score: FrameScore
    picture: Picture

    def is_beside(self, score: FrameScore) -> bool:
        """Whether a later frame shows what this one does already."""
        return self.score.scene_id == score.scene_id and abs(self.score.frame - score.frame) < APART


def _marked(image: UInt8, sample: Sample, score: FrameScore, objects: ObjectSet) -> UInt8:
    """A copy of a picture with what went wrong in the frame on it."""
    image = image.copy()
    for truth in score.faults.missed:
        box = truth_box(truth, objects, sample)
        if box is not None:
            mark(image, box, f"missed: {objects[truth.obj_id].name}", truth.mask)
    for kind, found in (("wrong pose", score.faults.wrong_poses), ("not there", score.faults.false_positives)):
        for thing in found:
            mark(image, thing.box, f"{kind}: {thing.class_name}")
    return image


def describe(score: FrameScore) -> str:
    """What went wrong in a frame, in words."""
    parts = [
        f"{number} {name if number == 1 else names}"
        for number, name, names in (
            (score.missed, "instance missed", "instances missed"),
            (score.wrong_poses, "wrong pose", "wrong poses"),
            (score.false_positives, "false positive", "false positives"),
        )
        if number
    ]
    return ", ".join(parts) or f"nothing failed; largest error {score.largest_error:.1%} of the diameter"
