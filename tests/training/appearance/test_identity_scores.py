"""How well descriptors tell instances apart."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_observations import observations

from pose_tracking.training.appearance.identity_scores import (
    format_table,
    identity_scores,
    lookalikes,
    tint_difference,
    without_nan,
)


def test_perfect_and_constant_descriptors() -> None:
    found = observations(3)
    perfect = np.eye(found.identities.max() + 1, dtype=np.float32)[found.identities]
    scores = identity_scores(perfect, found, 0.2)
    assert set(scores["auc"].values()) == {1.0}
    assert scores["nearest"] == 1
    assert scores["gate_same"] == 1
    assert scores["gate_others"] == 0
    blind = identity_scores(np.ones_like(perfect[:, :1]), found)
    assert set(blind["auc"].values()) == {0.5}
    assert blind["gate_others"] == 1
    assert blind["nearest_chance"] == pytest.approx(1 / 3)


def test_pairs_are_counted_by_kind() -> None:
    found = observations(1, copies=3, frames=2)
    pairs = identity_scores(np.ones((len(found), 1), np.float32), found)["pairs"]
    assert pairs["same"] == 6  # each of 6 instances in its two frames
    assert pairs["same_class"] == 2 * 3 * 2  # two objects, three pairs of copies, both orders of the two frames
    assert pairs["material_differs"] + pairs["material_alike"] == pairs["same_class"]
    assert pairs["any"] == 15 * 2
    # Every object's most similar other one is the other of the two.
    assert pairs["lookalike_class"] == 9 * 2
    assert lookalikes(found) == {1: 2, 2: 1}


def test_unknown_materials_and_single_objects_leave_cells_empty() -> None:
    found = observations(1)
    found.tints[:] = np.nan
    found.objects[:] = 1
    scores = identity_scores(np.ones((len(found), 1), np.float32), found)
    assert np.isnan(scores["auc"]["material_differs"])
    assert np.isnan(scores["auc"]["lookalike_class"])
    assert " - " in format_table({"x": scores})
    assert without_nan(scores)["auc"]["lookalike_class"] is None


def test_a_change_of_brightness_is_its_difference() -> None:
    assert tint_difference(np.eye(3), 1.1 * np.eye(3)) == pytest.approx(0.1)
