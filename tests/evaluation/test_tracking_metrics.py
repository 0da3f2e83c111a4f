"""Identity scores on sequences with known switches, gaps and false positives."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import box_at

from pose_tracking.evaluation.tracking_metrics import METRICS, IdentifiedBox, TrackingAccumulator


def score(frames: list[tuple[list[IdentifiedBox], list[IdentifiedBox]]]) -> dict:
    accumulator = TrackingAccumulator()
    for tracks, truths in frames:
        accumulator.add(tracks, truths)
    result = accumulator.result()
    assert tuple(result) == METRICS
    return result


def item(identity, u: float = 0, obj_id: int = 1, ignored: bool = False) -> IdentifiedBox:
    return IdentifiedBox(identity, obj_id, box_at(u), ignored)


def test_perfect():
    result = score([([item(1), item(2, 50)], [item("a"), item("b", 50)])] * 5)
    assert [result[k] for k in ("mota", "motp", "idf1", "hota")] == pytest.approx([1, 1, 1, 1])
    assert [result[k] for k in METRICS[4:]] == [0, 0, 0, 0, 2, 0]


def test_id_switch():
    """10 frames, the id changes after 6: one switch; IDF1 keeps the longer half; HOTA = sqrt(1 * (.6*.6 + .4*.4))."""
    result = score([([item(1 if t < 6 else 2)], [item("a")]) for t in range(10)])
    assert result["id_switches"] == 1
    assert result["mota"] == pytest.approx(0.9)
    assert result["idf1"] == pytest.approx(0.6)
    assert result["hota"] == pytest.approx(np.sqrt(0.6 * 0.6 + 0.4 * 0.4))


def test_fragmentation_without_switch():
    """Lost in frames 4 and 5 of 10, then the same id again."""
    result = score([([item(1)] if t not in (4, 5) else [], [item("a")]) for t in range(10)])
    assert (result["fragmentations"], result["id_switches"], result["fn"], result["fp"]) == (1, 0, 2, 0)
    assert result["mota"] == pytest.approx(0.8)
    assert result["idf1"] == pytest.approx(2 * 8 / (10 + 8))
    assert result["mt"] == 1  # 80 %


def test_false_positives_and_mostly_lost():
    result = score([([item(1, 0), item(9, 100)] if t == 0 else [item(9, 100)], [item("a")]) for t in range(10)])
    assert (result["fp"], result["fn"], result["mt"], result["ml"]) == (10, 9, 0, 1)
    assert result["mota"] == pytest.approx(1 - 19 / 10)


def test_motp_is_the_mean_iou():
    result = score([([item(1, 4)], [item("a")])] * 3)
    assert result["motp"] == pytest.approx(2 / 3)


def test_iou_below_half_is_no_match():
    result = score([([item(1, 8)], [item("a")])])  # IoU 12 / 28
    assert (result["fp"], result["fn"]) == (1, 1)
    assert result["motp"] is None
    assert result["hota"] > 0  # which also looks at lower thresholds


def test_classes_do_not_mix():
    """The same box, of another class: a miss and a false positive, and no identity passes over."""
    result = score([([item(1, obj_id=2)], [item("a", obj_id=1)])] * 4)
    assert (result["fp"], result["fn"], result["idf1"], result["hota"]) == (4, 4, 0, 0)
    two = score([([item(1, obj_id=1), item(2, obj_id=2)], [item("a", obj_id=1), item("b", obj_id=2)])] * 4)
    assert two["mota"] == 1
    assert two["id_switches"] == 0


def test_ignored_truth_takes_its_track_out():
    result = score([([item(1), item(2, 50)], [item("a"), item("b", 50, ignored=True)])] * 3)
    assert (result["fp"], result["fn"], result["mt"]) == (0, 0, 1)
    assert result["mota"] == 1


def test_nothing_to_score():
    result = score([([item(1)], []), ([], [])])
    assert (result["mota"], result["motp"], result["idf1"], result["hota"]) == (None, None, None, None)
    assert (result["fp"], result["fn"]) == (1, 0)
    missed = score([([], [item("a")])] * 4)
    assert (missed["mota"], missed["hota"], missed["fn"], missed["ml"]) == (0, 0, 4, 1)


def test_stored_numbers():
    """A noisy sequence; MOTA, MOTP, IDF1 and HOTA are those trackeval 1.3.0 gives for it."""
    frames = []
    for t in range(40):
        truths = [item(("g", i), 40 * i + t, obj_id=1 + i % 2) for i in range(4)]
        tracks = []
        for i in range(4):
            if (t * 7 + i * 5) % 11 == 0:
                continue
            identity = i + (10 if (t + 9 * i) % 40 > 24 else 0)
            tracks.append(item(identity, 40 * i + t + ((t * 3 + i) % 5 - 2) * 1.5, obj_id=1 + i % 2))
        if t % 6 == 0:
            tracks.append(item(100 + t, 70, obj_id=1))
        frames.append((tracks, truths))
    result = score(frames)
    stored = [0.81875, 0.839838220425, 0.583333333333, 0.533963055043]
    assert [result[k] for k in ("mota", "motp", "idf1", "hota")] == pytest.approx(stored, abs=1e-9)
