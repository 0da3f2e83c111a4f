"""Draws the frames of a run: the overlay video, and a few pictures for the HTML report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType

import cv2

from pose_tracking.core.arrays import UInt8, even_indices
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.visualization.overlay import OverlayPainter
from pose_tracking.visualization.video import VideoWriter

from .html import Picture, Pictures
from .results import FrameResult, FrameScore

EXAMPLES = 6
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
        self._painter = OverlayPainter(objects)
        self._chosen = set(even_indices(max(frames, 1), EXAMPLES).tolist())
        self._video = VideoWriter(folder / VIDEO, fps) if video else None
        self._fps = fps
        self._frame = 0
        self._examples: list[Picture] = []
        self._worst: Picture | None = None
        self._worst_rank = (0, 0.0)

    @property
    def pictures(self) -> Pictures:
        """The pictures so far, linked into the video where there is one."""
        note = "" if self._video is None else self._video.note
        examples, worst = self._examples, self._worst
        if self._video is None or note:
            examples = [replace(picture, link="") for picture in examples]
            worst = None if worst is None else replace(worst, link="")
        return Pictures(examples, worst, note)

    def add(self, sample: Sample, result: FrameResult, score: FrameScore | None) -> None:
        """Draw one frame, and keep it where it is the worst so far."""
        example = self._frame in self._chosen
        worst = score is not None and score.rank > self._worst_rank
        if self._video is not None or example or worst:
            image = self._painter.draw(sample.frame, result.objects)
            if self._video is not None:
                self._video.write(image)
            caption = f"scene {sample.scene_id}, stamp {sample.frame.stamp:.3f} s"
            if example:
                self._examples += self._picture(image, caption)
            if worst and score is not None:
                self._worst_rank = score.rank
                self._worst = next(iter(self._picture(image, f"{caption}: {describe(score)}")), None)
        self._frame += 1

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
