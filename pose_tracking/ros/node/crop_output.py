"""The topic ``~/crops``: pictures of the tracked objects with their embeddings, made only while someone listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pose_tracking.core.arrays import Float32
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.gallery.crop_selection import ChosenCrop, CropSelection, small_picture
from pose_tracking.gallery.embedding import CropEmbedder
from pose_tracking.msg import TrackCropArray
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.messages.crops import track_crop_array

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

PICTURE_SECONDS = 2.0  # a small picture of the whole frame comes so often


class CropOutput:
    """Chooses, describes and publishes crops.

    Args:
        tracker: the pipeline, whose detector describes them.
        period: least time between two messages, seconds.
        publish: publishes a message.
        listeners: how many listen.
        warn: called with a line for people.
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
        self._selection = CropSelection()
        self._embedder: CropEmbedder | None = None
        self._is_built = False
        self._heard = 0
        self._next = self._next_picture = 0.0

    def clear(self) -> None:
        """The tracks are others from now on."""
        self._selection.forget()

    def add(self, frame: RGBDFrame, tracked: Sequence[TrackedObject]) -> None:
        """Publish what is worth it of a frame, if someone listens and it is time for it."""
        heard, now = self._listeners(), time.monotonic()
        if heard > self._heard:  # who has just come knows nothing yet
            self._selection.forget()
            self._next = self._next_picture = 0.0
        self._heard = heard
        if not heard or now < self._next:
            return
        chosen = self._selection.choose(frame.color, frame.stamp_ns, tracked)
        picture = b""
        if now >= self._next_picture:
            self._next_picture = now + PICTURE_SECONDS
            picture = small_picture(frame.color)
        if not chosen and not picture:
            return
        self._next = now + self._period
        embeddings = self._described(chosen)
        kind = None if embeddings is None or self._embedder is None else self._embedder.kind
        header = make_header(frame.stamp_ns, frame.frame_id)
        self._publish(track_crop_array(header, chosen, embeddings, kind, picture))

    def _described(self, chosen: Sequence[ChosenCrop]) -> Float32 | None:
        if not chosen:
            return None
        if not self._is_built:
            self._is_built = True
            try:
                self._embedder = CropEmbedder.of(self._tracker)
            except Exception as error:  # a detector of somebody else, which cannot be asked about given boxes
                self._warn(f"crops go out without embeddings, so that looks are not searched: {error}")
        return None if self._embedder is None else self._embedder.embed([each.crop.pixels for each in chosen])
