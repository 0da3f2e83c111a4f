"""Class-agnostic proposals: connected parts of the depth off the dominant planes, and how they group.

The depth off the planes is cut at steps and at creases that bend inwards (where one thing stands on or against another:
Stein et al., "Object partitioning using local convexity", CVPR 2014). Neighbouring parts are then joined step by step,
the most alike first (Uijlings et al., "Selective search for object recognition", IJCV 2013); each part and each join
that may be a known object by its size is a proposal. Things that touch are so proposed each on its own, and a thing
that is cut in parts as a whole, too.
"""

from __future__ import annotations

import heapq
import math

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int
from pose_tracking.core.depth_noise import DepthNoise
from pose_tracking.templates.surface import Surface

from .kernels import measure_creases
from .planes import ALIKE, Plane, near_plane

CREASE = 3  # pixels to either side over which a crease is looked for
CREASE_ANGLE = 0.35  # sine of the angle from which it parts
STEEPEST = 5.0  # a surface that steep (metres of depth a metre) still hangs together
SMALLEST = 12  # pixels of a part
COLOR_SCALE = np.array([0.5, 1.0, 1.0]) / 60  # of Lab: colours that differ by 1 then are not one thing's


def off_planes(surface: Surface, planes: list[Plane], noise: DepthNoise, farthest: float) -> Bool:
    """(h, w) where something lies off all `planes` and no farther than `farthest` metres."""
    off = surface.valid & (surface.points[..., 2] < farthest)
    tolerance = near_plane(noise, surface.points[..., 2]).astype(np.float32)
    for plane in planes:
        distance = np.abs(plane.distance(surface.points))
        alike = surface.normals @ plane.normal.astype(np.float32) > ALIKE
        off &= (distance > tolerance) & ~((distance < 3 * tolerance) & alike)
        # Nothing solid is seen behind a table or a wall, but for what stands beyond its edge.
    return off


def parts(surface: Surface, off: Bool, noise: DepthNoise) -> Int:
    """(h, w) number of the part each pixel belongs to, from 1; 0 where there is none."""
    edge = _edges(surface, noise)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((off & ~edge).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < SMALLEST
    small[0] = True
    renumbered = np.where(small, 0, np.cumsum(~small)).astype(np.int32)
    labels = renumbered[labels]
    return _grown(surface, off, labels)


def _edges(surface: Surface, noise: DepthNoise) -> Bool:
    """(h, w) where a step or a crease runs."""
    z = surface.points[..., 2]
    step = np.maximum(4 * noise.sigma(z), STEEPEST * z * surface.pixel_angle).astype(np.float32)
    edge = np.zeros(z.shape, bool)
    edge[:, :-1] |= np.abs(np.diff(z, axis=1)) > step[:, :-1]
    edge[:-1] |= np.abs(np.diff(z, axis=0)) > step[:-1]
    return edge | (creases(surface) > CREASE_ANGLE)


def creases(surface: Surface) -> Float32:
    """(h, w) sine of the angle by which the surface bends inwards at each pixel; 0 where it does not."""
    out = np.empty(surface.valid.shape, np.float32)
    measure_creases(surface.points, surface.normals, CREASE, out)
    return out


def _grown(surface: Surface, off: Bool, labels: Int) -> Int:
    """`labels` with the pixels of edges given to the nearest part in space; what is far from all stays without."""
    z = surface.points[..., 2]
    reach = (STEEPEST * z * surface.pixel_angle).astype(np.float32)
    for _ in range(3):
        best = np.full(labels.shape, np.inf, np.float32)
        grown = labels.copy()
        open_ = off & (labels == 0)
        for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
            neighbour = np.roll(labels, shift, axis)
            apart = np.abs(np.roll(z, shift, axis) - z)
            better = open_ & (neighbour > 0) & (apart < best) & (apart < reach)
            grown[better], best[better] = neighbour[better], apart[better]
        labels = grown
    return labels


def borders(surface: Surface, labels: Int, noise: DepthNoise) -> tuple[Int, Float]:
    """Which parts touch in the image, and how much parts them.

    Returns:
        (E, 2) pairs of part numbers, the lower first, and (E, 3): share of the border with a step in depth, mean
        crease along it, and its length in pixels.
    """
    z, crease = surface.points[..., 2], creases(surface)
    step = np.maximum(4 * noise.sigma(z), STEEPEST * z * surface.pixel_angle).astype(np.float32)
    pairs, values = [], []
    for gap in (1, 2):
        for axis in (0, 1):
            a = [slice(None), slice(None)]
            b = [slice(None), slice(None)]
            a[axis], b[axis] = slice(None, -gap), slice(gap, None)
            first, last = labels[tuple(a)], labels[tuple(b)]
            touch = (first != last) & (first > 0) & (last > 0)
            jump = np.abs(z[tuple(a)][touch] - z[tuple(b)][touch]) > gap * step[tuple(a)][touch]
            bend = np.maximum(crease[tuple(a)][touch], crease[tuple(b)][touch])
            pairs.append(np.sort(np.stack([first[touch], last[touch]], 1), 1))
            values.append(np.stack([jump, bend, np.ones_like(bend)], 1))
    all_pairs, all_values = np.concatenate(pairs), np.concatenate(values)
    if len(all_pairs) == 0:
        return np.zeros((0, 2), np.int64), np.zeros((0, 3))
    unique, inverse = np.unique(all_pairs, axis=0, return_inverse=True)
    sums = np.zeros((len(unique), 3))
    np.add.at(sums, inverse.ravel(), all_values)
    sums[:, :2] /= sums[:, 2:]
    return unique.astype(np.int64), sums


def groups(surface: Surface, labels: Int, noise: DepthNoise) -> list[frozenset[int]]:
    """Parts, and joins of neighbours by two orders: colour leading, and shape leading."""
    count = int(labels.max())
    found = {frozenset([i]) for i in range(1, count + 1)}
    pairs, values = borders(surface, labels, noise)
    flat = labels.ravel()
    size = np.bincount(flat, minlength=count + 1).astype(float)
    lab = cv2.cvtColor(surface.color, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    color = np.stack([np.bincount(flat, lab[:, c], count + 1) / np.maximum(size, 1) for c in range(3)], 1)
    for weights in ((0.5, 1.0, 1.0, 0.3), (1.0, 2.0, 0.3, 0.3), (0.6, 0.3, 2.0, 0.2)):
        found |= _hierarchy(pairs, values, size, color, weights)
    # Neighbours two by two, and one with all that it touches: what no order of joins may come to.
    found |= {frozenset(pair.tolist()) for pair in pairs}
    return sorted(found, key=lambda group: (len(group), sorted(group)))


def _hierarchy(
    pairs: Int, values: Float, size: Float, color: Float, weights: tuple[float, float, float, float]
) -> set[frozenset[int]]:
    """All joins of neighbours, the most alike first."""
    total = float(size.sum())
    members = {i: frozenset([i]) for i in range(1, len(size))}
    area, mean = dict(enumerate(size.tolist())), dict(enumerate((color * COLOR_SCALE).tolist()))
    border = {(int(a), int(b)): tuple(row) for (a, b), row in zip(pairs, values.tolist(), strict=True)}
    found: set[frozenset[int]] = set()

    def cost(pair: tuple[int, int]) -> float:
        (jump, bend, length), (a, b) = border[pair], pair
        contrast = math.dist(mean[a], mean[b])
        smaller = min(area[a], area[b])
        enclosed = 1 - min(1.0, length / (4 * math.sqrt(smaller)))
        return (
            weights[0] * jump
            + weights[1] * min(bend, 1.0)
            + weights[2] * min(contrast, 1.0)
            + weights[3] * enclosed
            + 0.3 * smaller / total
        )

    beside: dict[int, set[int]] = {i: set() for i in members}
    for a, b in border:
        beside[a].add(b)
        beside[b].add(a)
    queue = [(cost(pair), pair) for pair in border]
    heapq.heapify(queue)
    new = len(size)
    while queue:
        pair = heapq.heappop(queue)[1]
        if border.pop(pair, None) is None:
            continue  # one of the two has been joined
        a, b = pair
        members[new] = members.pop(a) | members.pop(b)
        found.add(members[new])
        area[new] = area[a] + area[b]
        mean[new] = [(area[a] * p + area[b] * q) / area[new] for p, q in zip(mean[a], mean[b], strict=True)]
        beside[new] = (beside.pop(a) | beside.pop(b)) - {a, b}
        for other in beside[new]:
            rows = [border.pop(key) for i in pair if (key := (min(i, other), max(i, other))) in border]
            border[other, new] = rows[0] if len(rows) == 1 else _longer(*rows)
            beside[other] -= {a, b}
            beside[other].add(new)
            heapq.heappush(queue, (cost((other, new)), (other, new)))
        new += 1
    return found


def _longer(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    """Two borders as one: step, crease and length, see `borders`."""
    length = a[2] + b[2]
    return (a[0] * a[2] + b[0] * b[2]) / length, (a[1] * a[2] + b[1] * b[2]) / length, length
