"""Mask average precision on cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import box_at, mask_of
from presence import present

from pose_tracking.core.average_precision import MaskAveragePrecision
from pose_tracking.core.regions import Region


def region(u: float, obj_id: int = 1, score: float = 0.9, ignored: bool = False) -> Region:
    box = box_at(u)
    return Region(obj_id, box, mask_of(box), score, ignored)


def test_perfect_masks(capsys):
    ap = MaskAveragePrecision()
    ap.add([region(0), region(50, 2)], [region(0), region(50, 2)])
    assert ap.result() == {"map": pytest.approx(1.0), "map50": pytest.approx(1.0)}
    assert capsys.readouterr().out == ""


def test_iou_of_two_thirds_counts_up_to_065():
    """Shifted by 4 of 20 px: IoU 2/3, right at 4 of the 10 thresholds (0.50, 0.55, 0.60, 0.65)."""
    ap = MaskAveragePrecision()
    ap.add([region(4)], [region(0)])
    assert ap.result() == {"map": pytest.approx(0.4), "map50": pytest.approx(1.0)}


def test_half_the_instances_found():
    """One of two instances found without a false positive: precision 1 at the 51 recalls 0 to 0.5 of 101."""
    ap = MaskAveragePrecision()
    ap.add([region(0)], [region(0), region(60)])
    assert ap.result()["map50"] == pytest.approx(51 / 101)


def test_mean_is_over_classes_with_truth():
    ap = MaskAveragePrecision()
    ap.add([region(0), region(90, 3)], [region(0), region(50, 2)])
    assert ap.result()["map50"] == pytest.approx(0.5)


def test_false_positive_of_higher_score_halves_precision():
    ap = MaskAveragePrecision()
    ap.add([region(100, score=0.95), region(0, score=0.5)], [region(0)])
    assert ap.result()["map50"] == pytest.approx(0.5)


def test_ignored_truth_is_neither_hit_nor_miss():
    ap = MaskAveragePrecision()
    ap.add([region(0), region(60, score=0.99)], [region(0), region(60, ignored=True)])
    assert ap.result()["map50"] == pytest.approx(1.0)


def test_null_without_masks_or_instances():
    nothing = {"map": None, "map50": None}
    assert MaskAveragePrecision().result() == nothing
    ap = MaskAveragePrecision()
    ap.add([region(0)], [region(0, ignored=True)])
    assert ap.result() == nothing
    ap = MaskAveragePrecision()
    ap.add([region(0)], [region(0)])
    ap.add([Region(1, box_at(0))], [region(0)])
    assert ap.result() == nothing


def test_missing_everything_is_zero():
    ap = MaskAveragePrecision()
    ap.add([], [region(0)])
    assert ap.result() == {"map": 0.0, "map50": 0.0}
    assert np.isfinite(present(ap.result()["map"]))
