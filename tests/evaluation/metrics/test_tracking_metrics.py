"""Identity scores on sequences with known switches, gaps and false positives."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import box_at
from hypothesis import given, settings
from hypothesis import strategies as st
from presence import present

from pose_tracking.evaluation.metrics.tracking import FURTHER_METRICS, METRICS, IdentifiedBox, TrackingAccumulator


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


def test_scores_of_each_class_and_the_further_ones():
    """Class 1 changes its id after 6 of 10 frames, class 2 is kept, and class 3 is tracked where nothing is."""
    accumulator = TrackingAccumulator()
    for t in range(10):
        tracks = [item(1 if t < 6 else 2), item(3, 50, obj_id=2), item(4, 90, obj_id=3)]
        accumulator.add(tracks, [item("a"), item("b", 50, obj_id=2)])
    everything, single = accumulator.scores(), {i: accumulator.scores(i) for i in accumulator.obj_ids}
    assert list(single) == [1, 2, 3]
    assert set(everything) == {*METRICS, *FURTHER_METRICS}
    assert [single[i]["id_switches"] for i in (1, 2, 3)] == [1, 0, 0]
    assert [single[i]["fp"] for i in (1, 2, 3)] == [0, 0, 10]
    assert [single[i]["object_frames"] for i in (1, 2, 3)] == [10, 10, 0]
    assert single[1]["idf1"] == pytest.approx(0.6)
    assert single[1]["hota"] == pytest.approx(np.sqrt(0.6 * 0.6 + 0.4 * 0.4))
    assert single[1]["switches_per_1000"] == 100
    assert (single[2]["idf1"], single[2]["hota"], single[2]["idp"], single[2]["idr"]) == (1, 1, 1, 1)
    assert (single[3]["idf1"], single[3]["hota"], single[3]["switches_per_1000"]) == (None, None, None)
    assert (everything["id_switches"], everything["fp"], everything["object_frames"]) == (1, 10, 20)
    assert everything["idp"] == pytest.approx(16 / 30)
    assert everything["idr"] == pytest.approx(16 / 20)
    assert everything["idf1"] == pytest.approx(2 * 16 / (20 + 30))


def test_an_id_that_comes_back_is_two_switches():
    """Ids 1, 2, 1: CLEAR MOT counts each change, IDF1 the frames of the one that fits most of them."""
    result = score([([item(2 if 4 <= t < 7 else 1)], [item("a")]) for t in range(10)])
    assert result["id_switches"] == 2
    assert result["idf1"] == pytest.approx(0.7)


def test_exchanged_ids_are_a_switch_of_each():
    frames = [([item(1 + (t >= 5)), item(2 - (t >= 5), 50)], [item("a"), item("b", 50)]) for t in range(10)]
    assert score(frames)["id_switches"] == 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_counts_of_the_classes_add_up(seed: int):
    rng = np.random.default_rng(seed)
    accumulator = TrackingAccumulator()
    for t in range(15):
        truths = [item(("g", i), 30 * i + t, obj_id=1 + i % 3, ignored=bool(rng.random() < 0.1)) for i in range(5)]
        tracks = [
            item((i, int(rng.integers(2))), 30 * i + t + rng.normal(0, 3), obj_id=1 + int(rng.integers(3)))
            if rng.random() < 0.2
            else item(i, 30 * i + t + rng.normal(0, 3), obj_id=1 + i % 3)
            for i in range(5)
            if rng.random() < 0.85
        ]
        accumulator.add(tracks, truths)
    everything, single = accumulator.scores(), [accumulator.scores(i) for i in accumulator.obj_ids]
    for name in ("id_switches", "fragmentations", "fp", "fn", "mt", "ml", "object_frames"):
        assert everything[name] == sum(present(scores[name]) for scores in single)
