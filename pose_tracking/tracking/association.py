"""Which detection belongs to which track: association cost, matching cascade and IoU stage of Deep SORT.

The cost is c = lambda * d1 / g1 + (1 - lambda) * d2 / t2 with d1 the squared Mahalanobis distance (gate g1) and d2 the
smallest cosine distance (gate t2). Both terms lie in 0..1 inside their gates, so lambda weighs MOTION as in equation 5
of the paper (arXiv:1703.07402) on one scale; some trackers weigh appearance with it instead.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_tracking.core.arrays import Bool, Float, Int
from pose_tracking.core.kernels import kernel

from .mahalanobis import as_contiguous

Matches = list[tuple[int, int]]

# How far above the largest admissible distance an impossible pair lies, as in Deep SORT's clip. A huge cost instead
# would change which of the possible pairs the assignment prefers.
BEYOND = 1e-5


def association_cost(
    motion: Float, appearance: Float, motion_weight: float, motion_gate: float, appearance_gate: float
) -> Float:
    """(T, D) cost in 0..1 of the pairs that pass both gates, infinite for the others.

    Args:
        motion: (T, D) squared Mahalanobis distances, or these over their gate with a gate of 1.
        appearance: (T, D) smallest cosine distances; NaN where unknown: motion alone counts then.
        motion_weight: lambda, 0 to 1.
        motion_gate, appearance_gate: largest admissible distances.
    """
    cost = np.empty(np.shape(motion))
    _fill_cost(as_contiguous(motion), as_contiguous(appearance), motion_weight, motion_gate, appearance_gate, cost)
    return cost


@kernel
def _fill_cost(
    motion: Float, appearance: Float, motion_weight: float, motion_gate: float, appearance_gate: float, cost: Float
) -> None:
    for t in range(motion.shape[0]):
        for d in range(motion.shape[1]):
            if motion[t, d] <= motion_gate and not appearance[t, d] > appearance_gate:
                near = motion[t, d] / motion_gate
                alike = near if np.isnan(appearance[t, d]) else appearance[t, d] / appearance_gate
                cost[t, d] = min(motion_weight * near + (1 - motion_weight) * alike, 1.0)
            else:
                cost[t, d] = np.inf


def contested(motion: Float) -> Bool:
    """(T, D) pairs at a finite distance of whose track or detection that is not the only one."""
    out = np.empty(motion.shape, bool)
    _mark_contested(as_contiguous(motion), out)
    return out


@kernel
def _mark_contested(motion: Float, out: Bool) -> None:
    rows, columns = np.zeros(motion.shape[0], np.int64), np.zeros(motion.shape[1], np.int64)
    for t in range(motion.shape[0]):
        for d in range(motion.shape[1]):
            if np.isfinite(motion[t, d]):
                rows[t] += 1
                columns[d] += 1
    for t in range(motion.shape[0]):
        for d in range(motion.shape[1]):
            out[t, d] = np.isfinite(motion[t, d]) and (rows[t] > 1 or columns[d] > 1)


def min_cost_matching(
    cost: Float, limit: float, rows: list[int], columns: list[int], beyond: float = BEYOND
) -> tuple[Matches, list[int], list[int]]:
    """Assign `columns` to `rows` at the smallest total cost, then drop pairs dearer than `limit`.

    Args:
        cost: (T, D) cost of all pairs.
        limit: largest admissible cost.
        rows, columns: indices into `cost` that take part.
        beyond: what an impossible pair costs above `limit`.

    Returns:
        matches (row, column), rows and columns left over; left-over columns in the order in which the public code of
        Deep SORT lists them, since new track IDs follow that order.
    """
    if not rows or not columns:
        return [], rows, columns
    if len(rows) == 1:
        return _match_one(cost, limit, rows[0], columns)
    where, place_of = (np.array(rows), np.array(columns)), np.empty(len(rows), np.int64)
    if _pair_off(as_contiguous(cost), *where, limit, place_of):
        places = place_of.tolist()
        matches = [(row, columns[j]) for row, j in zip(rows, places, strict=True) if j >= 0]
        return matches, [row for row, j in zip(rows, places, strict=True) if j < 0], _others(columns, places)
    part = np.empty((len(rows), len(columns)))
    _take_part(as_contiguous(cost), *where, limit, limit + beyond, part)
    chosen = linear_sum_assignment(part)
    is_dear = part[chosen] > limit
    chosen_rows, chosen_columns = (index.tolist() for index in chosen)
    left_rows, left_columns = _others(rows, chosen_rows), _others(columns, chosen_columns)
    for k in np.flatnonzero(is_dear).tolist():
        left_rows.append(rows[chosen_rows[k]])
        left_columns.append(columns[chosen_columns[k]])
    cheap = np.flatnonzero(~is_dear).tolist()
    return [(rows[chosen_rows[k]], columns[chosen_columns[k]]) for k in cheap], left_rows, left_columns


@kernel
def _take_part(cost: Float, rows: Int, columns: Int, limit: float, beyond: float, part: Float) -> None:
    """Costs of some rows and columns; what is dearer than `limit` costs `beyond`."""
    for i in range(len(rows)):
        for j in range(len(columns)):
            value = cost[rows[i], columns[j]]
            part[i, j] = beyond if value > limit else value


@kernel
def _pair_off(cost: Float, rows: Int, columns: Int, limit: float, place_of: Int) -> bool:
    """Whether no row and no column has more than one possible partner, and all rows or all columns have one.

    Nothing is to be chosen then. Into `place_of` goes the place in `columns` of each row's partner, -1 for none.
    """
    is_taken = np.zeros(len(columns), np.bool_)
    found = 0
    for i in range(len(rows)):
        place_of[i] = -1
        for j in range(len(columns)):
            if cost[rows[i], columns[j]] <= limit:
                if place_of[i] >= 0 or is_taken[j]:
                    return False
                place_of[i], is_taken[j] = j, True
                found += 1
    return found == len(rows) or found == len(columns)


def _others(items: list[int], chosen: list[int]) -> list[int]:
    """Those of `items` whose places are not among the chosen ones."""
    taken = set(chosen)
    return [item for i, item in enumerate(items) if i not in taken]


def _match_one(cost: Float, limit: float, row: int, columns: list[int]) -> tuple[Matches, list[int], list[int]]:
    """`min_cost_matching` of one row: its cheapest column, the first of several."""
    costs = [each if each <= limit else np.inf for each in cost[row].take(columns).tolist()]
    best = costs.index(min(costs))
    left = columns[:best] + columns[best + 1 :]
    if costs[best] == np.inf:
        return [], [row], [*left, columns[best]]
    return [(row, columns[best])], [], left


def matching_cascade(
    cost: Float, ages: Int, max_age: int, rows: list[int], columns: list[int], beyond: float = BEYOND
) -> tuple[Matches, list[int], list[int]]:
    """Match recently seen tracks before those unmatched for longer (section 2.3 of the paper).

    Args:
        cost: (T, D) `association_cost` of all pairs.
        ages: (T,) frames since each track was seen, 1 for the frame before.
        max_age: tracks unmatched for longer are not matched.
        rows, columns: indices into `cost` that take part.
        beyond: what an impossible pair costs above 1.
    """
    matches: Matches = []
    by_age: dict[int, list[int]] = {}
    for row, age in zip(rows, ages.take(rows).tolist(), strict=True) if rows else ():
        by_age.setdefault(age, []).append(row)
    for age in sorted(by_age):
        if not columns or age > max_age:
            break
        found, _, columns = min_cost_matching(cost, 1.0, by_age[age], columns, beyond)
        matches += found
    matched = {row for row, _ in matches}
    return matches, [row for row in rows if row not in matched], columns
