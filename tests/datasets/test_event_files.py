"""Events of a BOP scene: written, read, and refused where they are broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from synthetic_samples import make_sample

from pose_tracking.core.errors import DatasetError
from pose_tracking.core.events import Event, EventKind
from pose_tracking.datasets.bop import BopScene
from pose_tracking.datasets.bop_writer import BopWriter
from pose_tracking.datasets.event_files import SCENE_EVENTS

FELL = Event(EventKind.FELL, 2, 1, "", 1_100_000_000, 1_400_000_000)
PLACED = Event(EventKind.PLACED, 1, 1, "", 1_400_000_000, 1_400_000_000)


@pytest.fixture
def scene(tmp_path):
    return tmp_path / "test" / "000000"


def _write(scene, events_by_stamp):
    with BopWriter(scene) as writer:
        for index, (stamp_ns, events) in enumerate(events_by_stamp.items()):
            sample = make_sample(index)
            sample.frame = replace(sample.frame, stamp_ns=stamp_ns)
            sample.events = events
            writer.add(sample)


def test_round_trip(scene):
    _write(scene, {1_300_000_000: [], 1_400_000_000: [FELL, PLACED]})

    assert [sample.events for sample in BopScene(scene)] == [[], [FELL, PLACED]]


def test_scene_without_the_file_tells_no_events(scene):
    _write(scene, {1_300_000_000: None})

    assert not (scene / SCENE_EVENTS).exists()
    assert BopScene(scene)[0].events is None


def test_stamps_follow_those_of_a_later_scene_of_a_split(scene):
    for number in range(2):
        _write(scene.parent / f"{number:06d}", {1_300_000_000: [], 1_400_000_000: [FELL]})

    samples = list(BopScene(scene.parent))

    for sample in (samples[1], samples[3]):
        assert sample.events is not None
        assert sample.events[0].end_ns == sample.frame.stamp_ns
        assert sample.events[0].end_ns - sample.events[0].onset_ns == 300_000_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "exploded"}, "'exploded' is not a valid EventKind"),
        ({"lasted_ns": -5}, "lasted_ns is -5"),
        ({"instance_id": None}, "not usable"),
        ({"obj_id": ...}, "no 'obj_id'"),
    ],
)
def test_broken_entries_are_refused_by_name(scene, change, says):
    _write(scene, {1_400_000_000: [FELL]})
    entries = json.loads((scene / SCENE_EVENTS).read_text())
    entry = {**entries["0"][0], **change}
    entries["0"][0] = {name: value for name, value in entry.items() if value is not ...}
    (scene / SCENE_EVENTS).write_text(json.dumps(entries))

    with pytest.raises(DatasetError, match=f"image 0, entry 0.*{says}"):
        BopScene(scene)[0]
