"""Tracks of a box that follow any path, as a camera at any rate would see it, for tests of the event rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import block_rotation, invert_transform, make_transform
from pose_tracking.core.results import Detection, PoseEstimate, TrackedObject, TrackState
from pose_tracking.events import EventConfig, EventDetector
from pose_tracking.events.measured_camera import MeasuredCamera
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.simulation.scenery.rooms import looking_at

SIZE = np.array([0.06, 0.06, 0.12])
BOX = ObjectModel(1, "box", float(np.linalg.norm(SIZE)), -SIZE / 2, SIZE, np.eye(4)[None])
OBJECTS = ObjectSet({1: BOX})
CAMERA = CameraIntrinsics(640, 480, 570.0, 570.0, 319.5, 239.5)
VIEW = looking_at(np.zeros(3), 0.4, 0.5, 1.1)
EMPTY = np.zeros((480, 640), np.float32)
NO_COLOR = np.zeros((480, 640, 3), np.uint8)
SIGMA, SIGMA_TURN = 0.002, np.radians(1.0)

# Seconds to a (4, 4) pose in the fixed frame, or None where the object is not seen.
Path = Callable[[float], "np.ndarray | None"]
# The same to a (6, 6) covariance that is added to what the noise makes of it.
Unknown = Callable[[float], np.ndarray]


def standing(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """(4, 4) pose of the box that stands with its bottom at a place."""
    return make_transform(np.eye(3), [x, y, z + SIZE[2] / 2])


def turned(pose: np.ndarray, axis: str, degrees: float) -> np.ndarray:
    return pose @ make_transform(Rotation.from_euler(axis, degrees, degrees=True).as_matrix(), np.zeros(3))


def about_vertical(pose: np.ndarray, degrees: float, off: float = 0.0) -> np.ndarray:
    """A pose turned about the object's z axis, `off` (m) from its middle along its x axis."""
    turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    point = np.array([off, 0.0, 0.0])
    return pose @ make_transform(turn, point - turn @ point)


def unknown_turn(pose: np.ndarray, degrees: float, off: float = 0.0) -> np.ndarray:
    """(6, 6) covariance, along the fixed axes, of what `about_vertical` may have done to a pose unnoticed."""
    axis = pose[:3, 2]
    turn = np.concatenate([np.cross(axis, -off * pose[:3, 0]), axis])
    return np.radians(degrees) ** 2 * np.outer(turn, turn)


def track(
    track_id: int,
    pose: np.ndarray | None,
    rng: np.random.Generator,
    confidence: float = 0.9,
    view: np.ndarray = VIEW,
    unknown: np.ndarray | None = None,
    visible: float | None = None,
) -> TrackedObject:
    """The track of a box at a pose in the fixed frame, measured with noise; without a pose it coasts.

    `unknown` (6, 6) is added to its covariance, along the fixed axes; `visible` is the share of it that is seen.
    """
    estimate = None
    if pose is not None:
        noise = make_transform(Rotation.from_rotvec(rng.normal(0, SIGMA_TURN, 3)).as_matrix(), np.zeros(3))
        seen = invert_transform(view) @ pose @ noise
        seen[:3, 3] += rng.normal(0, SIGMA, 3)
        covariance = np.diag([SIGMA**2] * 3 + [SIGMA_TURN**2] * 3)
        if unknown is not None:
            turn = block_rotation(view[:3, :3].T)
            covariance = covariance + turn @ unknown @ turn.T
        fit = {} if visible is None else {"visible_fraction": visible}
        estimate = PoseEstimate(seen, confidence, covariance, fit=fit)
    box = np.array([300.0, 200.0, 340.0, 260.0])
    detection = None if estimate is None else Detection(1, 0.9, box, None, estimate)
    return TrackedObject(
        track_id,
        1,
        "box",
        TrackState.COASTING if estimate is None else TrackState.CONFIRMED,
        None if estimate is None else estimate.pose,
        None if estimate is None else estimate.covariance,
        np.zeros(6),
        SIZE,
        0.9,
        confidence,
        box,
        10,
        1.0,
        int(estimate is None),
        0.1 * (estimate is None),
        5,
        detection=detection,
    )


def told(
    paths: Path | Iterable[Path],
    seconds: float = 6.0,
    rate: float = 30.0,
    *,
    config: EventConfig | None = None,
    seed: int = 0,
    knows_camera: bool = True,
    detector: EventDetector | None = None,
    stamps: Iterable[float] | None = None,
    unknown: Unknown | None = None,
    visible: float | None = None,
    view: Path = lambda _: VIEW,
    camera: Callable[[float], MeasuredCamera] | None = None,
) -> list[Event]:
    """What the rules tell of objects on given paths, but for their appearing.

    A path is told where the object is at a time, in seconds; `unknown` what of its pose nobody knows then, `view` where
    the camera is, `camera` where it was measured to be.
    """
    rng = np.random.default_rng(seed)
    each = [paths] if callable(paths) else list(paths)
    detector = detector or EventDetector(OBJECTS, config)
    events = []
    times = np.arange(round(seconds * rate)) / rate if stamps is None else np.array(list(stamps))
    for time in times:
        seen_from = view(float(time))
        assert seen_from is not None
        pose = seen_from if knows_camera else None
        frame = RGBDFrame(NO_COLOR, EMPTY, CAMERA, round((1 + time) * 1e9), camera_pose=pose)
        free = None if unknown is None else unknown(float(time))
        things = [
            track(number, path(float(time)), rng, view=seen_from, unknown=free, visible=visible)
            for number, path in enumerate(each, start=1)
        ]
        events += detector.update(frame, things, None if camera is None else camera(float(time)))
    return [event for event in events if event.kind != EventKind.APPEARED]


def kinds(events: Iterable[Event]) -> list[str]:
    """Kinds of events in their order."""
    return [event.kind.value for event in events]
