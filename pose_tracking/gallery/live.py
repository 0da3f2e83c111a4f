"""What a camera shows now: overwritten again and again, unlike sightings, and kept for nobody."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.arrays import Float


@dataclass(frozen=True, eq=False)
class LiveObject:
    """One confirmed track of a camera.

    Attributes:
        class_name: which object.
        track_id: ID that the camera's tracker gives it now.
        pose: (4, 4) ``T_map_object``, metres, or None where it or the camera's place is unknown.
        size: (3,) extent along its own axes, metres, or None where it is not known.
        confidence: of the pose, 0 to 1.
    """

    class_name: str
    track_id: int
    pose: Float | None
    size: Float | None
    confidence: float


@dataclass(frozen=True, eq=False)
class LiveCamera:
    """The newest that came from a camera.

    Attributes:
        camera: its name.
        stamp_ns: stamp of the newest frame, nanoseconds of the camera's clock.
        received_ns: when it came, nanoseconds since 1970 of the clock of the machine that writes: how long ago that
            is says whether the camera is silent.
        rate_hz: frames a second over the last seconds.
        map_frame: frame that poses are in; None: the camera's place is unknown.
        pose: (4, 4) ``T_map_camera`` of the optical frame, metres, or None.
        objects: its confirmed tracks.
        picture: small JPEG of what it shows, or None.
    """

    camera: str
    stamp_ns: int
    received_ns: int
    rate_hz: float
    map_frame: str | None
    pose: Float | None
    objects: tuple[LiveObject, ...] = ()
    picture: bytes | None = None
