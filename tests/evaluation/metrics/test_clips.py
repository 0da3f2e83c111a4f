"""The clip network beside the rules, on windows whose label is worked out by hand."""

from __future__ import annotations

import pytest

from pose_tracking.core.events import ClipVerdict, Event, EventKind
from pose_tracking.evaluation.metrics.clips import ClipScorer
from pose_tracking.evaluation.report.tables import clips_table
from pose_tracking.events.clips.windows import clip_label

S = 1_000_000_000


@pytest.mark.parametrize(
    ("events", "end", "label"),
    [
        ([], 5.0, "still"),
        ([(EventKind.FELL, 4.0, 4.3), (EventKind.MOVED, 3.5, 4.3)], 5.0, "fell"),
        ([(EventKind.FELL, 4.0, 4.3)], 4.35, None),  # it has only just landed
        ([(EventKind.FELL, 4.0, 4.3)], 5.5, None),
        ([(EventKind.FELL, 4.0, 4.3)], 7.0, "still"),
        ([(EventKind.MOVED, 4.0, 4.8)], 5.0, "moved"),
        ([(EventKind.MOVED, 4.0, 4.8)], 4.4, None),
        ([(EventKind.KNOCKED_OVER, 4.0, 4.4), (EventKind.MOVED, 4.0, 4.4)], 5.0, "knocked_over"),
        ([(EventKind.CARRIED, 3.0, 6.0), (EventKind.MOVED, 2.6, 6.3), (EventKind.PLACED, 6.3, 6.3)], 4.0, "carried"),
        ([(EventKind.CARRIED, 3.0, 6.0), (EventKind.MOVED, 2.6, 6.3), (EventKind.PLACED, 6.3, 6.3)], 3.2, None),
        ([(EventKind.CARRIED, 3.0, 6.0), (EventKind.MOVED, 2.6, 6.3), (EventKind.PLACED, 6.3, 6.3)], 6.6, "placed"),
        ([(EventKind.APPEARED, 4.9, 4.9)], 5.0, "still"),
    ],
)
def test_labels(events, end, label):
    assert clip_label(events, end) == label


class _Known:
    """Events of one instance by hand: it fell at 4 s; the rules have told a fall in scene 0, nothing in scene 1."""

    def around(self, scene_id, track_id, onset_ns, end_ns):
        fell = Event(EventKind.FELL, 1, 1, "mug", 4 * S, round(4.3 * S))
        if scene_id == 9:
            return None
        return [fell], [fell] if scene_id == 0 else []


def _said(label: str, end: float) -> ClipVerdict:
    return ClipVerdict(label, 0.9, round((end - 1.5) * S), round(end * S))


def test_both_are_scored_on_the_same_windows():
    scorer = ClipScorer(_Known())  # type: ignore[arg-type]
    for scene, end, label in (
        (0, 3.0, "still"), (0, 4.9, "fell"), (1, 4.9, "moved"), (1, 8.0, "unknown"), (0, 4.2, "fell"), (9, 8.0, "fell"),
    ):  # fmt: skip
        scorer.add(scene, round(end * S), {3: _said(label, end)})
        scorer.add(scene, round(end * S) + 1, {3: _said(label, end)})  # an old verdict, not counted again
    result = scorer.result()
    assert result is not None
    assert result["left_out"] == 1
    network, rules = result["network"]["classes"], result["rules"]["classes"]
    assert network["fell"]["count"] == 2
    assert (network["fell"]["recall"], network["fell"]["precision"]) == (0.5, 1.0)
    assert (rules["fell"]["recall"], rules["fell"]["precision"]) == (0.5, 1.0)
    assert network["still"]["recall"] == 0.5
    assert rules["still"]["recall"] == 1.0
    lines = clips_table(result).as_text()
    assert any(line.split()[:2] == ["fell", "2"] for line in lines)
    assert not any("carried" in line for line in lines)


def test_nothing_looked_at_is_no_table():
    assert ClipScorer(_Known()).result() is None  # type: ignore[arg-type]
