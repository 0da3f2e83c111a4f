"""Options of the clip network."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option


@dataclass(frozen=True)
class ClipConfig:
    """Whether a network looks at 16 pictures of each track, beside the rules on its poses."""

    network: str = option(
        "",
        "weights that `train events` has written, in the bundle's folder or by their whole path; empty: no network. "
        "It says what it was trained on; those trained on simulation only are for comparison",
    )
    every: int = option(
        5,
        "each track is looked at on every n-th of the pictures kept (20 a second at most), the tracks in turn",
        unit="frames",
        range=(1, 1000),
        runtime=True,
    )
    min_probability: float = option(
        0.5, "probability below which a clip's label is unknown", range=(0.0, 1.0), runtime=True
    )
    check_poses: bool = option(
        True,
        "whether a label is unknown where the poses of the track contradict it: knocked over without a turn, any "
        "motion of what has not moved; false shows what the network says by itself",
        runtime=True,
    )
