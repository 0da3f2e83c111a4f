"""Which views of its tracks a camera passes on to a gallery: the first, then better ones and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.results import TrackedObject

from .collector import CollectorConfig
from .crops import CropCandidate, cut_out, difference

AT_ONCE = 2  # crops passed on of a frame: describing one takes a part of a frame's time
UNLIKE = 0.15  # a view that differs by that much (27 degrees) from all that were passed on is worth passing on
BETTER = 1.5  # or one of so many times the quality of the most alike
AGAIN_AFTER = 20.0  # seconds: a gallery may have been started since, or begun another part of the track
PICTURE_WIDTH, PICTURE_QUALITY = 320, 70


@dataclass(frozen=True, eq=False)
class ChosenCrop:
    """A crop to pass on and the track it is of."""

    track_id: int
    crop: CropCandidate


class CropSelection:
    """Remembers which views have been passed on.

    Args:
        config: which crops are too small.
    """

    def __init__(self, config: CollectorConfig | None = None) -> None:
        self._config = config or CollectorConfig()
        self._passed: dict[int, list[CropCandidate]] = {}

    def forget(self) -> None:
        """All views are new from now on: someone else listens, or the tracks are others."""
        self._passed.clear()

    def choose(self, color: UInt8, stamp_ns: int, tracked: Sequence[TrackedObject]) -> list[ChosenCrop]:
        """The views of a frame that are to be passed on, at most `AT_ONCE`, those of tracks without any first."""
        alive = {thing.track_id for thing in tracked}
        old = stamp_ns - round(AGAIN_AFTER * 1e9)
        self._passed = {
            track: recent
            for track, passed in self._passed.items()
            if track in alive and (recent := [c for c in passed if old < c.stamp_ns <= stamp_ns])
        }
        # Cutting out costs, too: the tracks of which least has been passed on are looked at first.
        waiting = [t for t in tracked if t.is_observed and t.is_confirmed and t.mask is not None]
        chosen = []
        for thing in sorted(waiting, key=lambda t: (len(self._passed.get(t.track_id, ())), t.track_id)):
            assert thing.mask is not None
            view = None if thing.pose is None else thing.pose[:3, :3]
            crop = cut_out(color, thing.mask, stamp_ns, view)
            passed = self._passed.get(thing.track_id, [])
            if crop is None or crop.area < self._config.min_crop or not is_worth_it(crop, passed):
                continue
            chosen.append(ChosenCrop(thing.track_id, crop))
            self._passed[thing.track_id] = [*passed, replace(crop, pixels=np.zeros((0, 0, 4), np.uint8))]
            if len(chosen) == AT_ONCE:
                break
        return chosen


def is_worth_it(crop: CropCandidate, passed: Sequence[CropCandidate]) -> bool:
    """Whether a view shows more than those that were passed on before."""
    if not passed:
        return True
    nearest = min(passed, key=lambda other: difference(crop, other))
    return difference(crop, nearest) >= UNLIKE or crop.quality >= BETTER * nearest.quality


def small_picture(color: UInt8) -> bytes:
    """(H, W, 3) RGB as a JPEG file of at most `PICTURE_WIDTH` pixels across."""
    height, width = color.shape[:2]
    scale = min(1.0, PICTURE_WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY])
    return bytes(data) if ok else b""
