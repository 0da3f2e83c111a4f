"""Both networks beside the rules: of a person keypoints are believed, of a thing its clip."""

from __future__ import annotations

from typing import Any

from pose_tracking.core.events import ClipVerdict
from pose_tracking.events.config import EventConfig
from pose_tracking.events.watchers import Watchers


class _Said:
    """A recogniser that has said something of some tracks."""

    def __init__(self, source: str, **labels: str) -> None:
        self.verdicts = {int(k[1:]): ClipVerdict(label, 0.9, 0, 1, "", source) for k, label in labels.items()}
        self.changes = dict(self.verdicts)
        self.calls: list[Any] = []

    def update(self, frame: Any, tracked: Any, config: Any, camera_pose: Any = None) -> None:
        self.calls.append(config)

    def reset(self) -> None:
        self.verdicts, self.changes = {}, {}


def test_of_a_person_keypoints_are_believed() -> None:
    clips, people = _Said("clip", t1="fell", t2="walking"), _Said("keypoints", t2="running")
    watchers = Watchers(clips, people)  # type: ignore[arg-type]
    assert {k: (v.source, v.label) for k, v in watchers.verdicts.items()} == {
        1: ("clip", "fell"),
        2: ("keypoints", "running"),
    }
    people.changes = {}
    assert set(watchers.changes) == {1}  # what a clip says of a person is no news where there are keypoints
    config = EventConfig()
    watchers.update(None, [], config)  # type: ignore[arg-type]
    assert (clips.calls, people.calls) == ([config], [config.people])
    watchers.reset()
    assert watchers.verdicts == watchers.changes == {}


def test_either_may_be_missing() -> None:
    clips = _Said("clip", t1="fell")
    assert set(Watchers(clips).verdicts) == {1}  # type: ignore[arg-type]
    assert set(Watchers(None, clips).verdicts) == {1}  # type: ignore[arg-type]
    assert Watchers().verdicts == {}
