"""Options of the rules on people."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option


@dataclass(frozen=True)
class PeopleConfig:
    """What tracked people do. Speeds are in lengths of the trunk, hips to shoulders, which is about half a metre."""

    network: str = option(
        "",
        "graph of a pose network, in the bundle's folder or by its whole path: pose_landmark_full.tflite of MediaPipe; "
        "empty: nothing is told of people. It takes 15 ms a person; needs the extra people",
    )
    every: int = option(
        2, "frames from one look at a person to the next; more people than one are looked at in turn", unit="frames",
        range=(1, 1000),
    )  # fmt: skip
    min_presence: float = option(
        0.5, "probability, of the network, of a person in the crop below which nothing is believed", range=(0.0, 1.0)
    )
    walking_speed: float = option(
        0.6, "trunk lengths a second from which someone walks", unit="1/s", range=(0.01, 100.0)
    )
    running_speed: float = option(
        4.5, "trunk lengths a second from which someone runs", unit="1/s", range=(0.01, 100.0)
    )
    swing: float = option(
        0.12,
        "swing of the feet against each other, in trunk lengths, from which someone walks who seems to stay in place: "
        "towards the camera or away from it",
        range=(0.0, 10.0),
    )
    upright: float = option(35.0, "tilt of the trunk up to which someone is upright", unit="deg", range=(1.0, 90.0))
    lying: float = option(60.0, "tilt of the trunk from which someone lies", unit="deg", range=(1.0, 90.0))
    drop: float = option(0.5, "trunk lengths that the shoulders must have come down in a fall", range=(0.0, 10.0))
    fall_seconds: float = option(
        1.3, "time from upright to lying that is a fall; who takes longer lies down", unit="s", range=(0.1, 10.0)
    )
