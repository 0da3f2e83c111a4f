"""The size of an object whose shape is not known, learned over the views of its track.

One view bounds each edge of the box from below, by what is seen of it; how much more there is lies in the view's
shadow (`BoxSize.slack`). What it says of an edge is kept on a grid of lengths, spaced evenly in their logarithm: a
lower bound is no Gaussian. Frames from one side repeat each other's errors, so what they say is averaged (the
logarithms, so that few are outvoted), and only other sides, whose likelihoods are multiplied, add knowledge.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from scipy.special import log_ndtr, ndtr

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import BoxSize, PoseEstimate

# Lengths, metres: 1 % apart.
_LENGTHS = np.exp(np.arange(np.log(0.004), np.log(6.0), 0.01))
# A side: the camera within so many radians of azimuth, and between two of these elevations.
_AZIMUTH = np.pi / 6
_ELEVATIONS = np.radians([15.0, 35.0, 60.0])
# What is wrong with all measurements from one side alike: metres, and a share of the edge.
_COMMON, _COMMON_SHARE = 0.0015, 0.03
# Frames of a side that count: more of them say nothing new.
_MOST = 10.0
# How much of the slack there is more of the object: mostly this share on average, and anything where the slack is so
# many times as long as what is seen, or longer: of a ball before the camera the nearer half.
_HIDDEN_SHARE, _OPEN = 0.12, 2.0
# Beyond what averaging can give, metres and share: where an edge ends is a matter of a few pixels and of the shape.
_LEAST, _LEAST_SHARE = 0.002, np.array([0.12, 0.12, 0.045])
# Chance of a measurement that is wrong altogether: the mask was, or what was taken for the object.
_WRONG = 0.03
# Variance of the turn about the vertical (rad^2) from which it is a guess.
_GUESSED = 1.0
# Logarithm of one horizontal edge over the other, where nothing else is known: shares and standard deviations of two
# normal distributions. Most things are about as deep as they are wide, but a hammer is six times as long: one narrow
# distribution alone would rather have both edges measured wrongly.
_ASPECT = ((0.6, 0.4), (0.4, 1.2))


class _Side:
    """What the frames from one side say of each edge, on average.

    They repeat each other's errors, so many say no more than one; but where they contradict each other (a mask that has
    bled over the thing beside it) each may be wrong for itself, and the few are outvoted.
    """

    def __init__(self) -> None:
        self.log_likelihood, self.count, self.guessed = np.zeros((3, len(_LENGTHS))), 0.0, 0.0

    def add(self, size: BoxSize, doubt: float, is_guessed: bool) -> None:
        found = _log_likelihood(size.edges, np.hypot(size.sigma, doubt * size.edges[[1, 0, 2]]), size.slack.sum(1))
        self.count = min(self.count + 1, _MOST)
        self.log_likelihood += (found - self.log_likelihood) / self.count
        self.guessed += (is_guessed - self.guessed) / self.count


class SizeFilter:
    """What is known of the edges of one track's box, along the axes of its pose.

    Attributes:
        edges, sigma: (3,) median and standard deviation of each edge, metres.
    """

    def __init__(self) -> None:
        self._sides: dict[tuple[int, int], _Side] = {}
        self.edges, self.sigma = np.full(3, np.nan), np.full(3, np.nan)

    def add(self, size: BoxSize, to_camera: Float, doubt: float = 0.0, is_guessed: bool = False) -> None:
        """Take in a measurement.

        Args:
            size: along the track's axes.
            to_camera: (3,) direction from the object to the camera along these axes.
            doubt: standard deviation (rad) between the axes of measurement and track.
            is_guessed: whether nothing told the turn of the axes about the vertical.
        """
        azimuth = float(np.arctan2(to_camera[1], to_camera[0])) % (2 * np.pi)
        elevation = float(np.arcsin(np.clip(to_camera[2] / np.linalg.norm(to_camera), -1, 1)))
        side = int(azimuth // _AZIMUTH), int(np.searchsorted(_ELEVATIONS, elevation))
        self._sides.setdefault(side, _Side()).add(size, doubt, is_guessed)
        self._fuse()

    def continue_from(self, other: SizeFilter) -> None:
        """Turn out to be of the object of `other`, whose axes may be turned against these: take over what it knows."""
        if self.edges[:2].argmax() != other.edges[:2].argmax():
            other = _turned(other)
        self._sides = {**other._sides, **self._sides}
        self._fuse()

    def _fuse(self) -> None:
        likelihood = np.zeros((3, len(_LENGTHS)))
        for side in self._sides.values():
            likelihood += side.log_likelihood
        # Things hide the same of themselves from many sides: four of them count as two would that err apart.
        likelihood /= np.sqrt(len(self._sides))
        # The other horizontal edge says a little, as far as it is known itself, where the views say nothing.
        likelihood[:2] += np.log(_chances(likelihood[[1, 0]]) @ _aspect_prior() + 1e-300)
        self.edges, sigma = _moments(likelihood)
        # Along axes that every side has guessed either horizontal edge may be the other.
        guessed = min(side.guessed for side in self._sides.values())
        exchanged = guessed * abs(self.edges[0] - self.edges[1]) * np.array([1.0, 1.0, 0.0])
        self.sigma = np.sqrt(sigma**2 + _LEAST**2 + (_LEAST_SHARE * self.edges) ** 2 + exchanged**2)


def quarter_turns(rotation: Float, reference: Float) -> int:
    """By how many times 90 degrees about its own z axis a (3, 3) rotation is turned to be nearest to a reference."""
    relative = rotation.T @ reference
    return round(float(np.arctan2(relative[1, 0] - relative[0, 1], relative[0, 0] + relative[1, 1])) / (np.pi / 2)) % 4


def is_turn_guessed(estimate: PoseEstimate) -> bool:
    """Whether nothing told the turn of a measured box about its own vertical."""
    up = estimate.pose[:3, 2]
    return bool(up @ estimate.covariance[3:, 3:] @ up > _GUESSED)


def turned_estimate(estimate: PoseEstimate, quarters: int) -> PoseEstimate:
    """The same box with its axes turned by so many times 90 degrees about z."""
    if quarters == 0 or estimate.size is None:
        return estimate
    pose = estimate.pose.copy()
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    pose[:3, :3] = pose[:3, :3] @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    return replace(estimate, pose=pose, size=estimate.size.turned(quarters))


def anchored(estimate: PoseEstimate, known: SizeFilter) -> PoseEstimate:
    """A measured box, grown to the known size towards where its ends are not seen.

    Args:
        estimate: with a `size`, along the axes of `known`.
        known: the size.
    """
    size = estimate.size
    assert size is not None
    total = size.slack.sum(1)
    share = np.divide(size.slack[:, 1] - size.slack[:, 0], total, out=np.zeros(3), where=total > 0)
    grown = np.clip(known.edges - size.edges, 0.0, total)
    rotation, pose = estimate.pose[:3, :3], estimate.pose.copy()
    pose[:3, 3] += rotation @ (share * grown / 2)
    assert estimate.systematic is not None
    before = rotation.T @ estimate.systematic[:3, :3] @ rotation
    # Where in the slack an end is, is as uncertain as the size, no longer as the slack.
    doubt = np.minimum((known.sigma / 2) ** 2 + (_COMMON_SHARE * known.edges / 2) ** 2, np.diag(before))
    shared, covariance = estimate.systematic.copy(), estimate.covariance.copy()
    shared[:3, :3] = rotation @ np.diag(doubt) @ rotation.T
    covariance[:3, :3] += shared[:3, :3] - estimate.systematic[:3, :3]
    return replace(estimate, pose=pose, covariance=covariance, systematic=shared)


def _log_likelihood(edges: Float, sigma: Float, slack: Float) -> Float:
    """(3, L) logarithm of how likely what one frame shows is for each length of each edge.

    Args:
        edges, sigma, slack: (3,) metres: what is seen of each, its standard deviation, how much longer it may be.
    """
    sigma = np.sqrt(sigma**2 + _COMMON**2 + (_COMMON_SHARE * edges) ** 2)[:, None]
    longer = _LENGTHS[None] - edges[:, None]
    slack = np.maximum(slack, 1e-5)[:, None]
    # Exponential over the slack, blurred by the noise (an exponentially modified Gaussian).
    rate = 1.0 / (_HIDDEN_SHARE * slack)
    blur = 0.5 * (rate * sigma) ** 2 - rate * longer
    hidden = np.log(rate) + blur + log_ndtr(longer / sigma - rate * sigma)
    anything = np.log(ndtr(longer / sigma) - ndtr((longer - slack) / sigma) + 1e-300) - np.log(slack)
    chance = slack**2 / (slack**2 + (_OPEN * edges[:, None]) ** 2)
    likelihood = (1 - chance) * np.exp(hidden) + chance * np.exp(anything)
    # A measurement that is wrong says nothing of the length: its density is the same for all of them.
    flat = 1.0 / (np.maximum(edges, _LENGTHS[0]) * np.log(_LENGTHS[-1] / _LENGTHS[0]))[:, None]
    return np.asarray(np.log((1 - _WRONG) * likelihood + _WRONG * flat))


def _chances(log_likelihood: Float) -> Float:
    """(E, L) chance of each length of E edges, from logarithms of how likely they are."""
    weight = np.exp(log_likelihood - log_likelihood.max(1, keepdims=True))
    return np.asarray(weight / weight.sum(1, keepdims=True))


@cache
def _aspect_prior() -> Float:
    """(L, L) how likely a horizontal edge has each length where the other has each length."""
    ratio = np.log(_LENGTHS[:, None] / _LENGTHS)
    return np.asarray(sum(share / sigma * np.exp(-0.5 * (ratio / sigma) ** 2) for share, sigma in _ASPECT))


def _moments(log_likelihood: Float) -> tuple[Float, Float]:
    """(3,) medians and (3,) standard deviations of what (3, L) logarithms say, with a prior flat in the logarithm.

    The deviation is half of what lies between the 16th and the 84th percentile: a long tail is doubt, not size.
    """
    below = np.cumsum(_chances(log_likelihood), axis=1)
    low, middle, high = (np.array([np.interp(q, row, _LENGTHS) for row in below]) for q in (0.159, 0.5, 0.841))
    return middle, (high - low) / 2


def _turned(known: SizeFilter) -> SizeFilter:
    """What is known along axes turned by 90 degrees about z."""
    out = SizeFilter()
    quarter = int(round(np.pi / 2 / _AZIMUTH))
    for (azimuth, elevation), side in known._sides.items():
        new = _Side()
        new.log_likelihood = side.log_likelihood[[1, 0, 2]]
        new.count, new.guessed = side.count, side.guessed
        out._sides[(azimuth - quarter) % (4 * quarter), elevation] = new
    out._fuse()
    return out
