"""A video without depth in; the video with what was tracked drawn on it, and the tracks as text, out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm import tqdm

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import atomic_path, output_errors
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.mot_rows import UNKNOWN, MotRow
from pose_tracking.datasets.video import Video
from pose_tracking.visualization.overlay import OverlayPainter
from pose_tracking.visualization.video import VideoWriter, encoder_for

from .look_ahead import frames_ahead, in_turn
from .pose_tracker import PoseTracker

# A pause of the pictures is that long in the written video at most, seconds.
LONGEST_PAUSE = 5.0


@dataclass
class VideoSummary:
    """What came of a video.

    Attributes:
        frames: pictures read, all of them tracked.
        video_seconds: how long they last.
        taken_seconds: how long reading, tracking, drawing and writing took.
        identities: class name by track ID of all confirmed tracks.
        notes: what went wrong, one line each.
    """

    frames: int = 0
    video_seconds: float = 0.0
    taken_seconds: float = 0.0
    identities: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def real_time(self) -> float:
        """Seconds of video in a second of work: above 1 is faster than the video plays."""
        return self.video_seconds / max(self.taken_seconds, 1e-9)


def track_video(
    video: Video,
    tracker: PoseTracker,
    out: Path,
    tracks: Path,
    *,
    max_frames: int | None = None,
    progress: bool = False,
) -> VideoSummary:
    """Track what is in a video; Ctrl-C ends it early, and what was done by then is kept.

    Args:
        video: the pictures.
        tracker: the pipeline, fresh or reset.
        out: video to write, ``.webm`` or ``.mp4``. Its rate is the nominal one; where the stamps leave a gap, a picture
            stands still for as long (`LONGEST_PAUSE` at most), so that the video has the pace of the pictures.
        tracks: text file to write (`datasets.mot_rows`): each confirmed track where it was seen. Where the bundle has
            several classes, the 8th column is the object ID.
        max_frames: stop after so many pictures.
        progress: show a progress bar on stderr.

    Raises:
        DatasetError: there is not a single picture.
        FrameError: a picture cannot be used, e.g. for its size.
        OutputError: a file is there already, or cannot be written. No half file is left.
    """
    for path in (out, tracks):
        if path.exists():
            raise OutputError(f"{path}: exists already: choose another name or remove it")
    summary, painter, start = VideoSummary(), OverlayPainter(tracker.objects), time.perf_counter()
    labelled = len(tracker.objects) > 1
    total = video.total if max_frames is None else min(max_frames, video.total or max_frames)
    stamps: list[float] = []
    with _rows_file(tracks) as rows, _pictures_file(out, video.rate) as pictures:
        frames = in_turn(video, tracker.look_ahead, frames_ahead(tracker.option("segment_every")))
        bar = tqdm(frames, total=total, desc="track", unit="frame", disable=not progress)
        try:
            for frame in bar:
                tracked = tracker.update(frame)
                first = stamps[0] if stamps else frame.stamp
                pictures.write(painter.draw(frame, tracked), frame.stamp - first)
                confirmed = [o for o in tracked if o.is_confirmed]
                summary.identities |= {o.track_id: o.class_name for o in confirmed}
                number = len(stamps) + 1
                rows.writelines(f"{_row(number, o, labelled).text}\n" for o in confirmed if o.is_observed)
                stamps.append(frame.stamp)
                if len(stamps) == max_frames:
                    break
        except KeyboardInterrupt:
            if not stamps:
                raise
            summary.notes.append("stopped by hand")
        finally:
            bar.close()
            video.close()
        pictures.close()
    summary.frames = len(stamps)
    summary.video_seconds = stamps[-1] - stamps[0] + 1 / video.rate if stamps else 0.0
    summary.taken_seconds = time.perf_counter() - start
    summary.notes += video.notes
    return summary


class _PacedWriter:
    """A video of a steady rate whose pictures come at any times."""

    def __init__(self, path: Path, rate: float) -> None:
        self._writer, self._rate = VideoWriter(path, rate, (encoder_for(path),)), rate
        self._written, self._late = 0, 0
        self._last: np.ndarray | None = None

    def write(self, image: np.ndarray, stamp: float) -> None:
        """Append a picture of `stamp` seconds after the first; none is left out, however dense they come."""
        due = round(stamp * self._rate) - self._late
        most = round(LONGEST_PAUSE * self._rate)
        if due - self._written > most:
            self._late += due - self._written - most
            due = self._written + most
        while self._last is not None and self._written < due:
            self._append(self._last)
        self._append(image)
        self._last = image

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def _append(self, image: np.ndarray) -> None:
        self._writer.write(image)
        if self._writer.note:
            raise OutputError(f"{self._writer.path}: cannot be written: this OpenCV has no encoder for it")
        self._written += 1


@contextmanager
def _pictures_file(out: Path, rate: float) -> Iterator[_PacedWriter]:
    encoder_for(out)
    with atomic_path(out) as unfinished:
        yield _PacedWriter(unfinished, rate)


@contextmanager
def _rows_file(path: Path) -> Iterator[TextIO]:
    with atomic_path(path) as unfinished, output_errors(path), unfinished.open("w", encoding="utf-8") as file:
        yield file


def _row(frame: int, o: TrackedObject, labelled: bool) -> MotRow:
    return MotRow(frame, o.track_id, np.asarray(o.box, float), o.score, o.obj_id if labelled else UNKNOWN)
