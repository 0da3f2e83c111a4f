"""Sequences of recordings."""

from __future__ import annotations

from pathlib import Path

from appearance_sequences import packed, sequence

from pose_tracking.objects import ObjectSet
from pose_tracking.training.appearance.sequences import recorded_sequences


def test_a_new_sequence_begins_where_time_goes_back(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", sequence(0, list(range(1, 25))) + sequence(1, [1, 2, 3]))
    parts = list(recorded_sequences(path, 4, ObjectSet({})))
    assert [len(p) for p in parts] == [4, 3]
    stamps = [s.frame.stamp_ns / 1e9 for s in parts[0]]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] > 12  # spread over the sequence
