"""What the memory is made of: one thing seen by one camera for a while."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.events import Event

if TYPE_CHECKING:
    from .color_transform import ColorSamples

_CAMERA_NAME = re.compile(r"[^\W_][\w .\-]{0,63}", re.ASCII)


def check_camera_name(name: str) -> str:
    """The name of a camera, if it can be one: it becomes part of queries, pages and file names.

    Raises:
        ConfigError: it is empty, too long, or has other characters than letters, digits, space, ``_``, ``-`` and ``.``.
    """
    if _CAMERA_NAME.fullmatch(name) is None or name != name.strip():
        raise ConfigError(
            f"camera name {name[:80]!r}: use 1 to 64 letters, digits, spaces, '_', '-' or '.', a letter or digit first"
        )
    return name


@dataclass(frozen=True, eq=False)
class Path:
    """Where a thing was, point by point; N may be 0 where it never had a pose.

    Attributes:
        stamps_ns: (N,) rising stamps, nanoseconds.
        poses: (N, 4, 4) in the map frame of the sighting, or in the camera's optical frame where it has none; metres.
        covariances: (N, 6, 6) of (x, y, z, rx, ry, rz) along the axes of that frame (m^2, rad^2).
    """

    stamps_ns: Int
    poses: Float
    covariances: Float

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @classmethod
    def empty(cls) -> Path:
        """No point."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4, 4)), np.zeros((0, 6, 6)))

    @property
    def positions(self) -> Float:
        """(N, 3) metres."""
        return self.poses[:, :3, 3]

    def at(self, stamps_ns: Int) -> tuple[Float, Float]:
        """Positions (M, 3), interpolated linearly, and covariances (M, 3, 3) of the nearest points, at (M,) stamps."""
        own = self.stamps_ns.astype(float)
        positions = np.column_stack([np.interp(stamps_ns, own, self.positions[:, i]) for i in range(3)])
        nearest = np.abs(self.stamps_ns[None] - np.asarray(stamps_ns)[:, None]).argmin(1)
        return positions, self.covariances[nearest, :3, :3]


@dataclass(frozen=True, eq=False)
class Crop:
    """A picture of a sighting, its background transparent.

    Attributes:
        stamp_ns: when it was taken.
        image: WebP file with an alpha channel.
        box: (4,) (x_min, y_min, x_max, y_max) in pixels of the frame.
        area: pixels of the mask.
        sharpness: variance of the Laplacian within the mask.
        embedding: (D,) unit vector, or None where it has not been computed.
        colors: pixels of it beside its model's colours, until they are part of the embedding; not kept.
    """

    stamp_ns: int
    image: bytes
    box: Float
    area: int
    sharpness: float
    embedding: Float32 | None = None
    colors: ColorSamples | None = None


@dataclass(eq=False)
class Sighting:
    """One track of one camera, or a part of it where the track is long.

    Attributes:
        camera: name of the camera.
        epoch: number of the scene within its recording: tracks of two scenes have nothing to do with each other.
        track_id: ID that the tracker gave it within the epoch.
        part: 0, 1, ... of a track that is long.
        obj_id, class_name: which object.
        start_ns, end_ns: first and last time it was seen.
        map_frame: frame that `path` is in; None: the camera's optical frame, because the camera's pose was unknown.
        path: where it was.
        size: (3,) extent along its own axes, metres.
        score: mean detection score, 0 to 1.
        pose_confidence: mean pose confidence, 0 to 1.
        frames: number of frames it was seen in.
        crops: a few pictures of it, best first.
        events: what happened to it meanwhile, in the order in which it was told.
    """

    camera: str
    epoch: int
    track_id: int
    part: int
    obj_id: int
    class_name: str
    start_ns: int
    end_ns: int
    map_frame: str | None
    path: Path
    size: Float
    score: float
    pose_confidence: float
    frames: int
    crops: list[Crop] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(eq=False)
class StoredSighting(Sighting):
    """A sighting as the store gives it back; its crops are read apart.

    Attributes:
        id: number in the store, never reused.
        source: number of the recording it comes from.
        identity: number of the identity it belongs to, or None before it was linked.
    """

    id: int = 0
    source: int = 0
    identity: int | None = None

    @property
    def key(self) -> tuple[int, int, int]:
        """What parts of one track share."""
        return self.source, self.epoch, self.track_id
