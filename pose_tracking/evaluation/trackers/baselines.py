"""Other trackers on the same detections: deep-sort-realtime, norfair, and the ByteTrack of `trackers`.

Each runs once per class, as our association does, and at the defaults its own documentation gives; what has no default
is said at its class. All are scored alike: of the tracks a baseline calls confirmed or active, those that this frame's
detections continue, with the detection's own box. What a baseline predicts for objects it does not see is left out
(deep-sort-realtime and norfair predict some, ByteTrack none).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.results import Detection


@dataclass(frozen=True)
class BaselineTrack:
    """A confirmed track seen in a frame.

    Attributes:
        track_id: identity over time, from 1; unique over all classes.
        obj_id: BOP object id.
        box: (4,) (x_min, y_min, x_max, y_max) of its detection, in pixels.
        detection: index of its detection among those of the frame.
    """

    track_id: int
    obj_id: int
    box: Float
    detection: int


class Baseline(Protocol):
    """A tracker of another package."""

    name: str

    def update(self, detections: Sequence[Detection], stamp: float) -> list[BaselineTrack]:
        """Continue, begin and end tracks with the detections of one frame.

        Args:
            detections: of this frame, any classes.
            stamp: time of the frame in seconds, later than that of the frame before.

        Returns:
            The confirmed tracks that a detection of this frame belongs to, at most one for each detection.
        """


class _OneClass(Protocol):
    """One tracker instance, for the detections of one object."""

    def update(self, detections: Sequence[Detection], stamp: float) -> list[tuple[Hashable, int]]:
        """(the baseline's own track ID, index of the detection) of each confirmed track seen in the frame."""


class _DeepSortRealtime:
    """Features are ours, taken as they are; `max_cosine_distance` 0.2, `n_init` 3 and `max_age` 30 frames.

    Its own gallery has no limit, so that its time grows with the length of a sequence.
    """

    def __init__(self, fps: float, gallery_budget: int | None) -> None:
        from deep_sort_realtime.deepsort_tracker import DeepSort

        self._tracker = DeepSort(embedder=None, nn_budget=gallery_budget)

    def update(self, detections: Sequence[Detection], stamp: float) -> list[tuple[Hashable, int]]:
        boxes, features = [], []
        for d in detections:
            if d.feature is None or not np.any(d.feature):
                raise ValueError("deep-sort-realtime needs a feature, not None or zero, with every detection")
            x_min, y_min, x_max, y_max = (float(v) for v in d.box)
            # Boxes without area are dropped there, but their features are not: all that follow would be mixed up.
            boxes.append(([x_min, y_min, max(x_max - x_min, 1e-3), max(y_max - y_min, 1e-3)], d.score, str(d.obj_id)))
            features.append(d.feature)
        tracks = self._tracker.update_tracks(boxes, embeds=features, others=list(range(len(boxes))))
        return [
            (track.track_id, track.get_det_supplementary())
            for track in tracks
            if track.is_confirmed() and track.time_since_update == 0
        ]


class _Norfair:
    """Distance "iou" of the corners with the threshold 0.7 of its own box demos; it has no default for either.

    `hit_counter_max` 15 and `initialization_delay` 7 frames; no re-identification, which is off by default.
    """

    def __init__(self, fps: float, gallery_budget: int | None) -> None:
        import norfair

        self._detection = norfair.Detection
        self._tracker = norfair.Tracker(distance_function="iou", distance_threshold=0.7)

    def update(self, detections: Sequence[Detection], stamp: float) -> list[tuple[Hashable, int]]:
        given = [self._detection(np.asarray(d.box, float).reshape(2, 2), data=i) for i, d in enumerate(detections)]
        now = {id(each) for each in given}
        active = self._tracker.update(given)
        return [(each.id, each.last_detection.data) for each in active if id(each.last_detection) in now]


class _ByteTrack:
    """Thresholds, `minimum_consecutive_frames` 2 and `lost_track_buffer` 30 (one second at any rate) are defaults.

    It is told the frame rate; stamps, which are off by default, change nothing at a steady rate. Detections below a
    score of 0.7 begin no track.
    """

    def __init__(self, fps: float, gallery_budget: int | None) -> None:
        import supervision
        from trackers import ByteTrackTracker

        self._detections = supervision.Detections
        self._tracker = ByteTrackTracker(frame_rate=fps)

    def update(self, detections: Sequence[Detection], stamp: float) -> list[tuple[Hashable, int]]:
        given = self._detections(
            xyxy=np.array([d.box for d in detections], float).reshape(-1, 4),
            confidence=np.array([d.score for d in detections], float),
            data={"index": np.arange(len(detections))},
        )
        found = self._tracker.update(given)
        if not len(found):
            return []
        pairs = zip(found.tracker_id.tolist(), found.data["index"].tolist(), strict=True)
        return [(identity, index) for identity, index in pairs if identity >= 0]  # -1: no track, or not yet mature


class _PerClass:
    """A baseline with one instance for each object, and IDs that are unique over them."""

    def __init__(self, name: str, make: Callable[[], _OneClass]) -> None:
        self.name = name
        self._make = make
        self._classes: dict[int, _OneClass] = {}
        self._ids: dict[tuple[int, Hashable], int] = {}

    def update(self, detections: Sequence[Detection], stamp: float) -> list[BaselineTrack]:
        columns: dict[int, list[int]] = {obj_id: [] for obj_id in self._classes}
        for i, detection in enumerate(detections):
            columns.setdefault(detection.obj_id, []).append(i)
        tracks = []
        for obj_id, indices in sorted(columns.items()):
            if obj_id not in self._classes:
                self._classes[obj_id] = self._make()
            for identity, j in self._classes[obj_id].update([detections[i] for i in indices], stamp):
                track_id = self._ids.setdefault((obj_id, identity), len(self._ids) + 1)
                tracks.append(BaselineTrack(track_id, obj_id, np.array(detections[indices[j]].box, float), indices[j]))
        return tracks


@dataclass(frozen=True)
class _Package:
    make: Callable[[float, int | None], Any]
    install: str


_EXTRA = "pip install 'pose_tracking[benchmark]'"
_PACKAGES = {
    "deep-sort-realtime": _Package(_DeepSortRealtime, _EXTRA),
    # Its metadata ask for a numpy below 2, which `trackers` does not take, though it runs with either.
    "norfair": _Package(_Norfair, f"{_EXTRA}, then pip install --no-deps norfair==2.3.0 filterpy==1.4.5"),
    "bytetrack": _Package(_ByteTrack, _EXTRA),
}
BASELINES = tuple(_PACKAGES)
UNLIMITED = ("deep-sort-realtime",)  # those whose gallery has no limit by default


def unavailable() -> dict[str, str]:
    """Why each of the baselines that cannot be used here cannot be imported."""
    reasons = {}
    for name, package in _PACKAGES.items():
        try:
            package.make(30.0, None)
        except ImportError as error:
            reasons[name] = str(error)
    return reasons


def available() -> list[str]:
    """Names of the baselines whose packages are installed and can be imported."""
    missing = unavailable()
    return [name for name in BASELINES if name not in missing]


def make_baseline(name: str, fps: float, gallery_budget: int | None = None) -> Baseline:
    """A fresh tracker of another package.

    Args:
        name: one of `BASELINES`.
        fps: frame rate of the detections, Hz.
        gallery_budget: features kept for each track where appearance is looked at; None: the baseline's own default.

    Raises:
        ConfigError: unknown name, or its package cannot be imported; the message says what to install.
    """
    if name not in _PACKAGES:
        raise ConfigError(f"baseline {name!r} is not one of {', '.join(BASELINES)}")
    if not fps > 0:
        raise ConfigError(f"baseline {name}: frame rate {fps!r} Hz is not above 0")
    package = _PACKAGES[name]

    def make() -> _OneClass:
        instance: _OneClass = package.make(fps, gallery_budget)
        return instance

    try:
        make()  # the first class may be a long time away
    except ImportError as error:
        raise ConfigError(f"baseline {name} cannot be used here ({error}): {package.install}") from None
    return _PerClass(name, make)
