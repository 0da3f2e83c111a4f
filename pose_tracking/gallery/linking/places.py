"""Whether two sightings were in one place at one time, or at one place one after the other."""

from __future__ import annotations

import enum
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


def is_out_of_reach(a: StoredSighting, b: StoredSighting, config: LinkConfig) -> bool:
    """Whether nothing could have gone from the end of `a` to the beginning of `b`, which is later."""
    if not _share_a_map(a, b):
        return False
    seconds = max((b.start_ns - a.end_ns) * 1e-9, 0.0)
    spread = np.trace(a.path.covariances[-1, :3, :3] + b.path.covariances[0, :3, :3])
    doubt = 4.0 * float(np.sqrt(spread + 6 * config.place_noise**2))
    way = float(np.linalg.norm(b.path.positions[0] - a.path.positions[-1]))
    return way > config.max_speed * seconds + doubt


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
