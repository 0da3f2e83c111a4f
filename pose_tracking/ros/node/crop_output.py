"""The topic ``~/crops``: pictures of the tracked objects with their embeddings, made only while someone listens.

They are chosen, described and encoded in a thread of their own: of a frame's time they take what handing it over takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pose_tracking.core.arrays import Float32
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.gallery.crop_selection import ChosenCrop, CropSelection, small_picture
from pose_tracking.gallery.embedding import CropEmbedder
from pose_tracking.gallery.model_colors import CopyColors, ModelColors
from pose_tracking.msg import TrackCropArray
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.messages.crops import track_crop_array

from .worker import LatestWorker

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

PICTURE_SECONDS = 2.0  # a small picture of the whole frame comes so often
MOST_WARNINGS = 20
STOP_SECONDS = 10.0  # what is built or described when the node ends is waited for so long


@dataclass(frozen=True, eq=False)
class _Seen:
    """A frame and what is tracked in it."""

    frame: RGBDFrame
    tracked: Sequence[TrackedObject]


class CropOutput:
    """Chooses, describes and publishes crops, beside the frames: of several the newest, when the one before is done.

    Args:
        tracker: the pipeline, whose detector describes them.
        period: least time between two messages, seconds.
        publish: publishes a message; called in a thread of its own.
        listeners: how many listen.
        warn: called with a line for people, in that thread.
    """

    def __init__(
        self,
        tracker: PoseTracker,
        period: float,
        publish: Callable[[TrackCropArray], None],
        listeners: Callable[[], int],
        warn: Callable[[str], None],
    ) -> None:
        self._tracker, self._period = tracker, period
        self._publish, self._listeners, self._warn = publish, listeners, warn
        self._worker: LatestWorker[_Seen] | None = None
        self._heard = 0
        # Written in the worker's thread alone
        self._selection = CropSelection()
        self._embedder: CropEmbedder | None = None
        self._colors = ModelColors(tracker.objects)
        self._is_built = False
        self._next = self._next_picture = 0.0
        self._told: set[str] = set()

    def clear(self) -> None:
        """The tracks are others from now on."""
        if self._worker is not None:
            self._worker.clear()
            self._worker.call(self._selection.forget)

    def close(self) -> bool:
        """End the thread; False where it is still busy. Nothing is published after that."""
        worker, self._worker = self._worker, None
        self._publish = _to_nobody
        return worker is None or worker.stop(STOP_SECONDS)

    def add(self, frame: RGBDFrame, tracked: Sequence[TrackedObject]) -> None:
        """Have what is worth it of a frame published, if someone listens and it is time for it; never blocks."""
        heard = self._listeners()
        has_come, self._heard = heard > self._heard, heard
        if not heard:
            return
        if self._worker is None:
            self._worker = LatestWorker(self._take, lambda _: None, self._failed, name="crops")
        if has_come:  # who has just come knows nothing yet
            self._worker.call(self._begin)
        if time.monotonic() >= self._next:
            self._worker.put(_Seen(frame, tracked))

    def _begin(self) -> None:
        self._selection.forget()
        self._next = self._next_picture = 0.0

    def _take(self, seen: _Seen) -> None:
        frame, now = seen.frame, time.monotonic()
        if now < self._next:  # it came while the one before was described
            return
        chosen = self._selection.choose(frame.color, frame.stamp_ns, seen.tracked)
        picture = b""
        if now >= self._next_picture:
            self._next_picture = now + PICTURE_SECONDS
            picture = small_picture(frame.color)
        if not chosen and not picture:
            return
        self._next = now + self._period
        try:
            embeddings = self._described(seen, chosen)
        except Exception:
            self._selection.forget()  # what was chosen has reached nobody
            raise
        kind = None if embeddings is None or self._embedder is None else self._embedder.kind
        header = make_header(frame.stamp_ns, frame.frame_id)
        self._publish(track_crop_array(header, chosen, embeddings, kind, picture))

    def _described(self, seen: _Seen, chosen: Sequence[ChosenCrop]) -> Float32 | None:
        if not chosen:
            return None
        if not self._is_built:
            self._is_built = True
            try:
                self._embedder = CropEmbedder.of(self._tracker)
            except Exception as error:  # a detector of somebody else, which cannot be asked about given boxes
                self._warn(f"crops go out without embeddings, so that looks are not searched: {error}")
        if self._embedder is None:
            return None
        colors = None
        if self._embedder.compares_colors:
            by_id = {thing.track_id: thing for thing in seen.tracked}
            things = [by_id[each.track_id] for each in chosen]
            colors = [CopyColors.of(thing.class_name, self._colors.sample(seen.frame, thing)) for thing in things]
        return self._embedder.embed([each.crop.pixels for each in chosen], colors)

    def _failed(self, error: Exception) -> None:
        text = f"the crops of a frame were lost: {error!r}"
        if text not in self._told and len(self._told) < MOST_WARNINGS:  # it may be so with every frame
            self._told.add(text)
            self._warn(text)


def _to_nobody(message: TrackCropArray) -> None:
    """Where messages go once the publisher is taken down."""
