"""Finds rotational symmetries of a mesh by comparing rotated copies of its surface with itself.

Follows the definition of the BOP benchmark (Hodan et al., "BOP Challenge 2020", section 2.4): a rotation is a symmetry
where it moves no part of the surface by more than a small share of the diameter, and where colour does not show it.
BOP lets a person judge the colour; here geometry and colour are measured apart, so that a person can judge a proposal.

Reflections are left out: a mirrored object cannot be reached by moving it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import transform_points
from pose_tracking.objects.mesh import Mesh

from .surface import VisibleSurface
from .symmetry_axis import CONTINUOUS, PROFILE_STEP, SymmetryAxis, SymmetryProposal, axis_rotations

MAX_FOLD = 24  # finer than that, the steps are smaller than what a pose is good to
# A coarse direction is at most about 5 degrees off, which a half turn doubles: 0.17 of the distance to the axis.
COARSE_DIRECTIONS, COARSE_POINTS, COARSE_LIMIT, COARSE_SEPARATION = 500, 200, 0.035, 8.0
COARSE_FOLDS = (2, 3, 5, 7)  # every fold up to 10 is a multiple of one of them; a larger prime is found as continuous
MAX_CANDIDATES = 30
REFINE_POINTS, TEST_POINTS = 250, 1500


@dataclass(frozen=True)
class SymmetryLimits:
    """What still counts as equal; distances are shares of the diameter.

    Found on the LineMOD and demo objects: scans of symmetric objects reach 0.8, 2.0 and 3.0 % (mean, 95th and 99th
    percentile), the most symmetric of the others is beyond at least one of the limits.
    """

    mean: float = 0.010
    p95: float = 0.025
    p99: float = 0.045
    color_difference: float = 20.0  # CIELAB, lightness counted half; below it light and scanning make the difference
    color_share: float = 0.06  # largest share of the surface that differs by more


def find_symmetries(mesh: Mesh, limits: SymmetryLimits | None = None, *, colored: bool = True) -> SymmetryProposal:
    """Propose the rotational symmetries of `mesh`.

    Only the surface that can be seen from outside counts. Candidate axes go through its centroid; their direction and
    place are refined, so that a scan need not be aligned with its coordinate axes.

    Args:
        mesh: the object, metres.
        limits: what still counts as equal.
        colored: whether the vertex colours mean something.
    """
    limits = limits or SymmetryLimits()
    surface = VisibleSurface(mesh, colored=colored)
    axes: list[SymmetryAxis] = []
    shape_only: list[SymmetryAxis] = []
    for direction, fold in _candidates(surface):
        if _is_known(direction, fold, [*axes, *shape_only]):
            continue
        refined, offset = _refine(surface, direction, fold)
        # Far from symmetric: not worth a closer look. A fold's own limits are tested below.
        if _mean_distance(surface, refined, offset, fold) > 1.5 * limits.mean:
            continue
        places = [_snap(surface, refined, offset, fold), (refined, offset)]
        # A refinement may end on another axis that has been judged already.
        if _is_known(refined, fold, [*axes, *shape_only]):
            continue
        shape = next((s for place in places if (s := _largest_fold(surface, *place, limits, color=False))), None)
        if shape is None:
            continue
        both = _largest_fold(surface, shape.axis, shape.offset, limits, color=True) if colored else shape
        if both is not None:
            axes.append(both)
        if both is None or both.fold != shape.fold:
            shape_only.append(shape)
        if sum(a.fold == CONTINUOUS for a in (*axes, *shape_only)) >= 3:
            break  # a sphere: every direction is an axis
    return SymmetryProposal(_reduce(axes), _reduce(shape_only))


def _candidates(surface: VisibleSurface) -> Iterator[tuple[Float, int]]:
    """Directions near which there may be an axis, with the fold that showed it, the best first."""
    points = surface.points[:COARSE_POINTS] - surface.centroid
    tree = cKDTree(surface.points - surface.centroid)
    directions = np.concatenate([np.eye(3), surface.principal_axes, _hemisphere(COARSE_DIRECTIONS)])
    scored: list[tuple[float, int, int]] = []
    for fold in COARSE_FOLDS:
        rotations = Rotation.from_rotvec(_widest_turn(fold) * directions).as_matrix()
        moved = np.einsum("dij,nj->dni", rotations, points)
        distance, _ = tree.query(moved.reshape(-1, 3), distance_upper_bound=0.5 * surface.diameter)
        mean = np.minimum(distance, 0.5 * surface.diameter).reshape(len(directions), -1).mean(1) / surface.diameter
        scored += [(float(mean[i]), int(i), fold) for i in np.flatnonzero(mean < COARSE_LIMIT)]
    taken: list[int] = []
    # The coordinate axes come first of what is equally good: people read them more easily.
    for _, i, fold in sorted(scored, key=lambda s: (s[0] * (0.7 if s[1] < 3 else 1.0), s[1])):
        close = np.abs(directions[taken] @ directions[i]) > np.cos(np.radians(COARSE_SEPARATION))
        if not close.any():
            taken.append(i)
            yield directions[i], fold
        if len(taken) >= MAX_CANDIDATES:
            return


def _widest_turn(fold: int) -> float:
    """The largest rotation angle (rad) of a symmetry of prime `fold`: it tells the most, and generates the others."""
    return 2 * np.pi * (fold // 2) / fold


def _mean_distance(surface: VisibleSurface, axis: Float, offset: Float, fold: int) -> float:
    transform = axis_rotations(axis, offset, np.array([_widest_turn(fold)]))[0]
    moved = transform_points(transform, surface.points[:TEST_POINTS])
    return float(surface.distance(moved).mean() / surface.diameter)


def _hemisphere(count: int) -> Float:
    """(count, 3) unit directions spread evenly over a half sphere (Fibonacci lattice)."""
    i = np.arange(count) + 0.5
    z, turn = i / count, np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], 1)


def _is_known(direction: Float, fold: int, known: list[SymmetryAxis]) -> bool:
    """Whether `direction` is one of the `known` axes, or follows from a continuous one.

    Half turns across the axis of a solid of revolution are all one symmetry; one of them is enough.
    """
    across_found = any(
        a.fold != CONTINUOUS and abs(a.axis @ c.axis) < 0.1 for c in known if c.fold == CONTINUOUS for a in known
    )
    for a in known:
        cosine = abs(a.axis @ direction)
        if cosine > np.cos(np.radians(5)):
            return True
        if a.fold == CONTINUOUS and cosine < 0.1 and fold == 2 and across_found:
            return True
    return False


def _refine(surface: VisibleSurface, direction: Float, fold: int) -> tuple[Float, Float]:
    """Axis direction and a point on it that bring rotated copies closest to the surface, by least squares."""
    u = np.cross(direction, np.eye(3)[np.argmin(np.abs(direction))])
    u /= np.linalg.norm(u)
    v = np.cross(direction, u)
    points = surface.points[:REFINE_POINTS]
    turn, d = np.array([_widest_turn(fold)]), surface.diameter

    def axis_of(parameters: Float) -> tuple[Float, Float]:
        axis = direction + parameters[0] * u + parameters[1] * v
        return axis / np.linalg.norm(axis), surface.centroid + d * (parameters[2] * u + parameters[3] * v)

    def residuals(parameters: Float) -> Float:
        transforms = axis_rotations(*axis_of(parameters), turn)
        moved = transform_points(transforms, points).reshape(-1, 3)
        return surface.signed_plane_distance(moved) / d

    # SciPy's step is relative; around one it is `diff_step`, well above the noise of single-precision distances.
    solution = least_squares(
        lambda x: residuals(x - 1), np.ones(4), loss="soft_l1", f_scale=0.01, diff_step=2e-3, max_nfev=10
    )
    return axis_of(solution.x - 1)


def _snap(surface: VisibleSurface, axis: Float, offset: Float, fold: int) -> tuple[Float, Float]:
    """The coordinate axis, through the origin where it passes there, if that is as good within the noise."""
    offset = offset - (offset @ axis) * axis
    axis = axis * (np.sign(axis[np.argmax(np.abs(axis))]) or 1.0)
    nearest = np.eye(3)[np.argmax(np.abs(axis))]
    if axis @ nearest < np.cos(np.radians(3)):
        return axis, offset
    straight = offset - (offset @ nearest) * nearest
    centred = np.where(np.abs(straight) < 0.01 * surface.diameter, 0.0, straight)
    limit = 1.1 * _mean_distance(surface, axis, offset, fold) + 5e-4
    for candidate in (centred, straight):
        if _mean_distance(surface, nearest, candidate, fold) <= limit:
            return nearest, candidate
    return axis, offset


def _largest_fold(
    surface: VisibleSurface, axis: Float, offset: Float, limits: SymmetryLimits, color: bool
) -> SymmetryAxis | None:
    """The highest symmetry about a given axis that keeps within `limits`, or None."""
    for fold in (CONTINUOUS, *range(MAX_FOLD, 1, -1)):
        steps = round(360 / PROFILE_STEP) if fold == CONTINUOUS else fold
        # The copy turned the other way is as far from the original as the original from the copy.
        angles = 2 * np.pi * np.arange(1, steps // 2 + 1) / steps
        worst = np.zeros(4)
        for angle in angles:
            transform = axis_rotations(axis, offset, np.array([angle]))[0]
            figures = surface.compare(transform, TEST_POINTS, limits.color_difference)
            worst = np.maximum(worst, figures)
            if (worst[:3] > (limits.mean, limits.p95, limits.p99)).any() or (color and worst[3] > limits.color_share):
                break
        else:
            return SymmetryAxis(axis, offset, fold, *(float(w) for w in worst))
    return None


def _reduce(axes: list[SymmetryAxis]) -> tuple[SymmetryAxis, ...]:
    """Without what follows from continuous symmetries: axes across them but one, and parallel ones."""
    continuous = [a for a in axes if a.fold == CONTINUOUS]
    if len(continuous) >= 2:
        return tuple(continuous)
    kept = list(continuous)
    for a in sorted((a for a in axes if a.fold != CONTINUOUS), key=lambda a: -a.fold):
        if continuous and len(kept) > len(continuous):
            break
        kept.append(a)
    return tuple(kept)
