"""The gallery node over DDS: trackers speak, sightings are in the store."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")
pytest.importorskip("sqlite_vec", reason="the gallery extra is not installed")

import subprocess

import numpy as np
from gallery_rig import FakeTracker, GalleryRig
from live_samples import thing

from pose_tracking.core.geometry import make_transform
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.gallery.store import EmbeddingKind
from pose_tracking.ros.tools.process import node_arguments


@pytest.fixture
def rig(tmp_path):
    place = tmp_path / "left.yaml"
    place.write_text("map: map\nposition: [1.0, 0.0, 0.0]\nquaternion_xyzw: [0, 0, 0, 1]\n")
    rig = GalleryRig(tmp_path / "gallery.db", tmp_path / "log", camera_poses=(f"left={place}",), silence_warning=2.0)
    yield rig
    rig.close()


def speak(tracker, start, count, *things, age=0.0):
    for number in range(count):
        for each in things:
            each.age_seconds = age + number / 10
        tracker.say(start + number / 10, *things)


def test_what_two_trackers_say_is_kept(rig):
    left, door = FakeTracker(rig, "left"), FakeTracker(rig, "door")
    left.wait()
    door.wait()
    left.show(10.0, 1)
    left.show(10.0, 1, damaged=True)
    speak(left, 10, 20, thing(1), thing(2, "top", x=0.3))
    speak(door, 10, 20, thing(1, "hammer"))
    left.tell(11.9, 1, "clip:fell", "moved", "vanished")  # a network's opinion, an event, and no kind at all
    left.show(11.5, 2, color=(0, 200, 0))
    left.show(11.6, 1, kind=EmbeddingKind("of another model", 4, "9", 0.2))
    rig.spin(lambda: False, 0.5)  # topics do not wait for each other
    for number in range(8):  # the tracks are gone
        left.say(12 + number / 10)
        door.say(12 + number / 10)
    assert rig.spin(lambda: len(rig.kept) == 3), rig.output
    assert rig.stop() == 0
    with SqliteReader(rig.store) as store:
        found = {(s.camera, s.class_name): s for s in store.find(Filter())}
        assert set(found) == {("left", "mug_red"), ("left", "top"), ("door", "hammer")}
        mug = found["left", "mug_red"]
        assert (mug.map_frame, mug.frames, mug.start_ns) == ("map", 20, 10_000_000_000)
        np.testing.assert_allclose(mug.path.positions[0], [1, 0, 1], atol=1e-6)  # where left.yaml says
        assert [event.kind.value for event in mug.events] == ["moved"]
        assert found["door", "hammer"].map_frame is None  # nobody has said where the door is
        assert len(store.crops(mug.id)) == 2
        assert len(store.embeddings([mug.id])[mug.id]) == 1  # that of another model is not comparable
        assert {c.name: c.map_frame for c in store.cameras()} == {"left": "map", "door": None}
        live = {c.camera: c for c in store.live_cameras()}
        assert live["left"].stamp_ns == 12_700_000_000
    assert "crop_invalid" in rig.output
    assert "other_embedding" in rig.output
    assert "'vanished'" in rig.output
    assert "clip:" not in rig.output


def test_a_tracker_that_is_started_anew_a_clock_that_jumps_and_a_camera_that_falls_silent(rig):
    left = FakeTracker(rig, "left")
    left.wait()
    speak(left, 100, 10, thing(1))
    speak(left, 105, 10, thing(1))  # IDs from 1 again
    speak(left, 50, 10, thing(1))  # the clock is set back
    bad = thing(3)
    bad.pose = make_transform(np.eye(3), [np.nan, 0, 1])
    left.say(51.1, thing(1, age=1.1), bad)
    assert rig.spin(lambda: len(rig.kept) == 3, 40), rig.output  # the last one by silence
    assert rig.spin(lambda: "is silent" in rig.output, 20)
    assert rig.spin(lambda: rig.values("drops").get("dropped.left.object_invalid") == "1"), rig.diagnostics
    assert (rig.values("cameras")["restarts.left"], rig.values("cameras")["time_jumps.back.left"]) == ("1", "1")
    with SqliteReader(rig.store) as store:
        assert sorted((s.epoch, s.track_id) for s in store.find(Filter())) == [(0, 1), (1, 1), (2, 1)]


def test_kept_sightings_outlive_kill_9(rig):
    left = FakeTracker(rig, "left")
    told: set[int] = set()
    for round_number in range(3):
        left.wait()
        for number in range(12):
            start = 1000 * round_number + 10 * number
            speak(left, start, 6, thing(number + 1))
            rig.spin(lambda: False, 0.05)
        enough = len(told) + 4
        rig.spin(lambda enough=enough: len(rig.kept) >= enough, 20)
        rig.kill()
        told |= {number for number, _, _ in rig.kept}
        with SqliteReader(rig.store) as store:
            assert told <= {s.id for s in store.find(Filter())}
        rig.start()
        rig.spin(lambda: left.objects.get_subscription_count() > 1, 5)
        rig.spin(lambda: left.objects.get_subscription_count() == 1, 40)  # the dead one is forgotten
    assert len(told) > 6


def test_two_cameras_of_one_name_are_dropped_and_said(rig):
    one, other = FakeTracker(rig, "left"), FakeTracker(rig, "left")
    one.wait()
    for number in range(30):
        one.say(10 + number / 10, thing(1, age=number / 10))
        other.say(10.05 + number / 10, thing(1, "top", age=50 + number / 10))
        rig.spin(lambda: False, 0.02)
    assert rig.spin(lambda: "two trackers speak under this name" in rig.output), rig.output
    assert rig.spin(lambda: int(rig.values("drops").get("dropped.left.two_cameras", 0)) > 20)


def test_what_it_cannot_start_with_is_one_line(tmp_path):
    given = {"store": str(tmp_path / "nowhere" / "gallery.db")}
    command = [sys.executable, "-m", "pose_tracking.ros.gallery_node.main", *node_arguments(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "there is no folder" in line


def test_it_needs_no_networks():
    code = "import sys, pose_tracking.ros.gallery_node.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0
