"""The last pictures, and where each track was in them: what clips are cut from."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import transform_points
from pose_tracking.core.results import TrackedObject
from pose_tracking.networks.clips.shape import FRAMES, SPAN, STEP

from .square import Square
from .steadying import anchors, as_seen, steadied

_WIDEST = 640  # pixels: larger pictures are kept at this width, a square of 112 needs no more
_NEAR = 0.6 * STEP  # seconds by which a picture may miss its time
_MOST_MISSING = 3  # of the 16 times
_SECONDS = 1e-9


_LEVELS = 3


@dataclass(frozen=True, eq=False)
class View:
    """Where a picture was taken from.

    Attributes:
        camera_pose: (4, 4) ``T_fixed_camera``.
        intrinsics: of the whole picture.
        measured: whether the pose was made of measured motions; it is in another frame than one that was given.
    """

    camera_pose: Float
    intrinsics: CameraIntrinsics
    measured: bool = False


@dataclass(frozen=True, eq=False)
class _Picture:
    """A picture (H, W, 4), and smaller ones of it by halves: a large square is cut out of a small one."""

    stamp_ns: int
    levels: tuple[UInt8, ...]
    view: View | None
    scale: float  # of the whole picture's pixels

    @classmethod
    def of(cls, stamp_ns: int, color: UInt8, view: View | None, scale: float) -> _Picture:
        levels = [color]
        while len(levels) < _LEVELS and min(levels[-1].shape[:2]) > 1:
            height, width = levels[-1].shape[:2]
            half = cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            levels.append(np.asarray(half, np.uint8))
        return cls(stamp_ns, tuple(levels), view, scale)

    def cut(self, square: Square, side: int) -> UInt8:
        """A square of it, out of the smallest level that has as many pixels there as are asked for."""
        level = int(np.clip(np.log2(max(square.side / side, 1.0)), 0, len(self.levels) - 1))
        scale = 0.5**level
        return Square(square.left * scale, square.top * scale, square.side * scale).cut(self.levels[level], side)


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a track was in a picture: its box (px of the picture) and, where known, the mask within that, and where its
    object was in the optical frame (m).
    """

    box: Float
    mask: UInt8 | None
    corner: tuple[int, int]
    middle: Float | None


@dataclass(frozen=True, eq=False)
class CutClip:
    """A clip as the network sees it.

    Attributes:
        frames: (16, side, side, 4) uint8: RGB, and the mask of the track as 0 and 255.
        onset_ns, end_ns: stamps of its first and last picture.
    """

    frames: UInt8
    onset_ns: int
    end_ns: int


class ClipMemory:
    """Keeps what the clips of all tracks need, each picture once.

    Pictures come at most 20 a second, which is twice as often as a clip shows them: at 10, 15, 30 or 60 Hz there is one
    near enough to each of its times.
    """

    def __init__(self) -> None:
        self._pictures: deque[_Picture] = deque()
        self._places: dict[int, dict[int, _Place]] = {}

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the last picture kept."""
        return self._pictures[-1].stamp_ns if self._pictures else None

    def wants(self, stamp_ns: int) -> bool:
        """Whether a frame is to be kept: none is that comes within 50 ms of the one before (a tenth of that off)."""
        return self.newest_ns is None or (stamp_ns - self.newest_ns) * _SECONDS >= 0.45 * STEP

    def keep(self, stamp_ns: int, color: UInt8, tracked: list[TrackedObject], view: View | None = None) -> None:
        """Keep a frame (H, W, 3) and where its tracks were observed in it; forget what no clip needs any more.

        With `view`, and depth, clips are cut as if the camera stood still.
        """
        scale = min(1.0, _WIDEST / color.shape[1])
        if scale < 1:
            size = (_WIDEST, max(1, round(color.shape[0] * scale)))
            color = np.asarray(cv2.resize(color, size, interpolation=cv2.INTER_AREA), np.uint8)
        # The fourth channel is that of the mask. It is a copy, too: the caller may use its memory again.
        color = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2RGBA), np.uint8)
        self._pictures.append(_Picture.of(stamp_ns, color, view, scale))
        while (stamp_ns - self._pictures[0].stamp_ns) * _SECONDS > SPAN + 2 * STEP:
            self._pictures.popleft()
        alive = {thing.track_id for thing in tracked}
        oldest = self._pictures[0].stamp_ns
        self._places = {
            track: {stamp: place for stamp, place in places.items() if stamp >= oldest}
            for track, places in self._places.items()
            if track in alive
        }
        for thing in tracked:
            if thing.is_observed:
                self._places.setdefault(thing.track_id, {})[stamp_ns] = _place(thing, scale)

    def clip(self, track_id: int, side: int) -> CutClip | str:
        """The clip of a track that ends with the newest picture, `side` pixels wide and high, or why there is none."""
        places = self._places.get(track_id, {})
        newest = self.newest_ns
        if newest is None or newest not in places:
            return "not seen in the last picture"
        if (newest - min(places)) * _SECONDS < SPAN - _NEAR:
            return "seen for less than a clip is long"
        chosen, missing = _chosen(np.array(sorted(places), np.int64), newest)
        if missing > _MOST_MISSING:
            return f"seen at {FRAMES - missing} of {FRAMES} times only: too few frames a second, or out of sight"
        kept = {picture.stamp_ns: picture for picture in self._pictures}
        pictures = [kept[stamp] for stamp in chosen]
        squares = _squares(np.array([places[stamp].box for stamp in chosen]), pictures, places[newest].middle)
        frames = np.empty((FRAMES, side, side, 4), np.uint8)
        for frame, picture, square in zip(frames, pictures, squares, strict=True):
            frame[:] = picture.cut(square, side)
            frame[..., 3] = _mask(places[picture.stamp_ns], square, side)
        return CutClip(frames, chosen[0], chosen[-1])


def _squares(boxes: Float, pictures: Sequence[_Picture], middle: Float | None) -> list[Square]:
    """The square of a clip in each of its pictures.

    Args:
        boxes: (N, 4) of the track in them.
        pictures: they.
        middle: (3,) where the object is in the optical frame of the last one, metres; None where that is not known.
    """
    views = [picture.view for picture in pictures if picture.view is not None]
    alike = {(view.measured, view.intrinsics) for view in views}
    if middle is None or len(views) < len(pictures) or len(alike) > 1:
        return [Square.around(boxes)] * len(pictures)
    place = transform_points(views[-1].camera_pose, middle[None])[0]
    seen = anchors(np.array([view.camera_pose for view in views]), place, views[-1].intrinsics)
    if seen is None:
        return [Square.around(boxes)] * len(pictures)
    seen[:, :2] *= np.array([picture.scale for picture in pictures])[:, None]
    square = Square.around(steadied(boxes, seen))
    return [as_seen(square, each, seen[-1]) for each in seen]


def _chosen(stamps: np.ndarray, newest: int) -> tuple[list[int], int]:
    """The stamp nearest to each time of a clip, and how many times have none near enough."""
    wanted = newest - np.round(STEP * 1e9 * np.arange(FRAMES)[::-1]).astype(np.int64)
    after = np.clip(np.searchsorted(stamps, wanted), 1, len(stamps) - 1) if len(stamps) > 1 else np.zeros(FRAMES, int)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(stamps[after] - wanted) < np.abs(stamps[before] - wanted), after, before)
    off = np.abs(stamps[nearest] - wanted) * _SECONDS
    return [int(stamp) for stamp in stamps[nearest]], int((off > _NEAR + 1e-6).sum())


def _place(thing: TrackedObject, scale: float) -> _Place:
    """Where a track was, in pixels of the picture that is kept."""
    box = np.asarray(thing.box, float) * scale
    middle = None if thing.pose is None else np.array(thing.pose[:3, 3], float)
    if thing.mask is None or not thing.mask.any():
        return _Place(box, None, (0, 0), middle)
    x, y, width, height = cv2.boundingRect(thing.mask.astype(np.uint8))
    mask = thing.mask[y : y + height, x : x + width].astype(np.uint8)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return _Place(box, mask, (round(x * scale), round(y * scale)), middle)


def _mask(place: _Place, square: Square, side: int) -> UInt8:
    """(side, side) the track's pixels in the square, 255; its box where it has no mask."""
    mask, (x, y) = place.mask, place.corner
    if mask is None:
        x, y = int(place.box[0]), int(place.box[1])
        mask = np.ones((max(1, int(place.box[3]) - y), max(1, int(place.box[2]) - x)), np.uint8)
    return Square(square.left - x, square.top - y, square.side).cut(mask * np.uint8(255), side)
