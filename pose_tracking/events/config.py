"""Options of the event rules."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option

from .clips.config import ClipConfig
from .people.config import PeopleConfig

GRAVITY = ("auto", "fixed_frame", "support", "unknown")


@dataclass(frozen=True)
class EventConfig:
    """When a tracked object counts as moved, carried, fallen, knocked over, hidden. No published values exist for 6D
    tracks; the defaults leave four standard deviations of the poses of renders between rest and motion.
    """

    enabled: bool = option(True, "whether anything is told at all", runtime=True)
    gravity: str = option(
        "auto",
        "where 'up' comes from: the z axis of the fixed frame (REP 103), the plane that things stand on (support), "
        "nowhere (unknown: falls, carrying and knocking over are then not told), or auto: the fixed frame, unless the "
        "support is seen to be tilted against it, else the support",
        choices=GRAVITY,
    )
    move_distance: float = option(
        0.02, "way from its place of rest beyond which an object moves", unit="m", range=(1e-3, 10.0)
    )
    move_angle: float = option(
        15.0, "turn from its pose of rest beyond which an object moves", unit="deg", range=(1.0, 180.0)
    )
    sigmas: float = option(4.0, "and standard deviations of the pose that way or turn must have", range=(1.0, 100.0))
    leave_frames: int = option(
        2, "frames in a row that must be away from the place of rest: one may be a wrong pose", unit="frames",
        range=(1, 100),
    )  # fmt: skip
    rest_seconds: float = option(
        0.4, "time without motion after which an object is at rest", unit="s", range=(0.01, 60.0)
    )
    rest_frames: int = option(
        3, "fewest frames that this time must have; at low rates it takes longer", unit="frames", range=(2, 100),
    )  # fmt: skip
    lift: float = option(
        0.025, "height over its places of rest at which something holds an object", unit="m", range=(1e-3, 10.0),
    )  # fmt: skip
    carry_seconds: float = option(0.25, "time that it must be held up to be carried", unit="s", range=(0.0, 60.0))
    fall_drop: float = option(0.08, "smallest way down that is a fall", unit="m", range=(0.01, 100.0))
    fall_tolerance: float = option(
        0.3,
        "share by which the acceleration of a fall may differ from gravity: drag, friction, a pose that lags",
        range=(0.01, 0.9),
    )
    hand_speed: float = option(
        1.0,
        "mean speed down to which a hand may have put something down: where only the places before and after were "
        "seen, what got down faster fell",
        unit="m/s",
        range=(0.1, 10.0),
    )
    tip_angle: float = option(
        45.0, "turn of what pointed up at rest from which an object is knocked over", unit="deg", range=(5.0, 180.0),
    )  # fmt: skip
    tip_seconds: float = option(
        2.0, "longest time in which something is knocked over; what takes longer is turned", unit="s",
        range=(0.05, 60.0),
    )  # fmt: skip
    hidden_seconds: float = option(0.7, "time unseen after which an object is hidden", unit="s", range=(0.0, 3600.0))
    min_confidence: float = option(
        0.0, "poses below this confidence say nothing of an object's motion", range=(0.0, 1.0)
    )
    clips: ClipConfig = option(ClipConfig(), "a network that looks at the tracks, beside the rules")
    people: PeopleConfig = option(PeopleConfig(), "rules on the keypoints of tracked people")
