"""Whether two sightings were in one place at one time, or at one place one after the other."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.gallery.sighting import StoredSighting

from .config import LinkConfig

_SAMPLES = 15
# A camera's clock and its exposure are that exact, and paths are interpolated.
_TIME_TOLERANCE = 0.1
# Slower than this over its last second, in metres: at rest.
_REST = 0.02


class Verdict(enum.Enum):
    """What two places say of two sightings."""

    SAME = "same"  # one thing, if nothing else could be there
    UNSURE = "unsure"  # nearer than two things can be, further than one should be
    APART = "apart"  # two things


@dataclass(frozen=True)
class Comparison:
    """Verdict, and squared Mahalanobis distance of the places."""

    verdict: Verdict
    distance: float

    @property
    def likelihood(self) -> float:
        """0 to 1, relative to both being exactly in one place."""
        return float(np.exp(-0.5 * self.distance))


def compare_at_one_time(a: StoredSighting, b: StoredSighting, config: LinkConfig) -> Comparison | None:
    """Compare where both were while both were seen; None where that is unknown."""
    if not _share_a_map(a, b):
        return None
    start = max(a.path.stamps_ns[0], b.path.stamps_ns[0])
    end = min(a.path.stamps_ns[-1], b.path.stamps_ns[-1])
    if start - end > _TIME_TOLERANCE * 1e9:
        return None
    stamps = np.linspace(min(start, end), max(start, end), _SAMPLES).astype(np.int64)
    at_a, noise_a = a.path.at(stamps)
    at_b, noise_b = b.path.at(stamps)
    return _judge(at_a - at_b, noise_a + noise_b, a, config)


def compare_one_after_the_other(a: StoredSighting, b: StoredSighting, config: LinkConfig) -> Comparison | None:
    """Compare where `a` was left at rest with where `b` begins later; None where that says nothing."""
    if not _share_a_map(a, b) or not is_left_at_rest(a):
        return None
    moved = b.path.positions[0] - a.path.positions[-1]
    noise = a.path.covariances[-1, :3, :3] + b.path.covariances[0, :3, :3]
    return _judge(moved[None], noise[None], a, config)


def is_left_at_rest(sighting: StoredSighting) -> bool:
    """Whether it stood still at the end."""
    path = sighting.path
    last = path.stamps_ns >= path.stamps_ns[-1] - 1_000_000_000
    positions = path.positions[last]
    return bool(np.linalg.norm(positions - positions[-1], axis=1).max() <= _REST)


@dataclass(frozen=True)
class Ends:
    """Where a sighting begins and ends, for a first look that costs next to nothing.

    Attributes:
        map_frame: None also where there is no path.
        first, last: (x, y, z) in the map, metres.
        first_variance, last_variance: traces of the covariances of both positions, m^2.
        is_left: whether it stood still at the end.
    """

    map_frame: str | None = None
    first: tuple[float, ...] = ()
    last: tuple[float, ...] = ()
    first_variance: float = 0.0
    last_variance: float = 0.0
    is_left: bool = False

    @classmethod
    def of(cls, sighting: StoredSighting) -> Ends:
        """Those of a sighting."""
        path = sighting.path
        if sighting.map_frame is None or not len(path):
            return cls()
        traces = np.trace(path.covariances[[0, -1], :3, :3], axis1=1, axis2=2)
        first, last = (tuple(float(v) for v in path.positions[i]) for i in (0, -1))
        return cls(sighting.map_frame, first, last, float(traces[0]), float(traces[1]), is_left_at_rest(sighting))


def is_out_of_reach(a: Ends, b: Ends, seconds: float, config: LinkConfig) -> bool:
    """Whether nothing could have gone from the end of `a` to the beginning of `b`, so many seconds later."""
    if a.map_frame is None or a.map_frame != b.map_frame:
        return False
    doubt = 4.0 * math.sqrt(_variance(a, b, config))
    return math.dist(a.last, b.first) > config.max_speed * seconds + doubt


def may_be_one_place(a: Ends, b: Ends, size: float, config: LinkConfig) -> bool:
    """Whether the places that `a` was left at and `b` begins at are worth a comparison; else they are two.

    Args:
        size: largest extent of the things, metres.
    """
    if a.map_frame is None or a.map_frame != b.map_frame or not a.is_left:
        return False
    # No direction is less certain than all of them together.
    return math.dist(a.last, b.first) <= max(size, math.sqrt(config.place_gate * _variance(a, b, config)))


def _variance(a: Ends, b: Ends, config: LinkConfig) -> float:
    return a.last_variance + b.first_variance + 6 * config.place_noise**2


def _share_a_map(a: StoredSighting, b: StoredSighting) -> bool:
    return a.map_frame is not None and a.map_frame == b.map_frame and len(a.path) > 0 and len(b.path) > 0


def _judge(moved: Float, noise: Float, a: StoredSighting, config: LinkConfig) -> Comparison:
    """By the medians over (S, 3) differences of position with (S, 3, 3) covariances: single poses may be wrong."""
    noise = noise + 2 * (config.place_noise**2 + 1e-10) * np.eye(3)
    distances = np.einsum("si,si->s", moved, np.linalg.solve(noise, moved[..., None])[..., 0])
    distance = float(np.median(distances))
    if distance <= config.place_gate:
        return Comparison(Verdict.SAME, distance)
    # Closer than that two of them would be in each other.
    is_apart = float(np.median(np.linalg.norm(moved, axis=1))) > float(np.max(a.size))
    return Comparison(Verdict.APART if is_apart else Verdict.UNSURE, distance)
