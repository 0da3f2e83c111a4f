"""What cameras show now, in the store."""

import numpy as np
import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.live import LiveCamera, LiveObject
from pose_tracking.gallery.postgres_schema import is_postgres
from pose_tracking.gallery.stores import open_reader, open_store


def at(x, y=0.0, z=0.0):
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


def test_live_cameras_are_written_over(place):
    with open_store(place, make=True) as store, open_reader(place) as reader:
        assert reader.live_cameras() == []
        mug = LiveObject("mug_red", 3, at(1, 2, 3), np.array([0.1, 0.08, 0.12]), 0.75)
        unknown = LiveObject("top", 4, None, None, 0.5)
        store.write_live(LiveCamera("left", 100, 200, 9.5, "map", at(0.5), (mug, unknown), b"\xff\xd8picture"))
        store.write_live(LiveCamera("door", 50, 60, 1.0, None, None))
        door, left = reader.live_cameras()
        assert (door.camera, door.pose, door.map_frame, door.objects, door.picture) == ("door", None, None, (), None)
        assert (left.stamp_ns, left.received_ns, left.rate_hz, left.map_frame) == (100, 200, 9.5, "map")
        np.testing.assert_array_equal(left.pose, at(0.5))
        first, second = left.objects
        assert (first.class_name, first.track_id, first.confidence) == ("mug_red", 3, 0.75)
        assert first.pose is not None
        assert first.size is not None
        np.testing.assert_allclose(first.pose, at(1, 2, 3))
        np.testing.assert_allclose(first.size, np.array([0.1, 0.08, 0.12]))
        assert second.pose is None
        assert second.size is None
        assert left.picture == b"\xff\xd8picture"
        store.write_live(LiveCamera("left", 101, 201, 8.0, "map", at(0.5)))
        assert [c.stamp_ns for c in reader.live_cameras()] == [50, 101]


def test_a_name_that_is_none_and_numbers_that_are_none(place):
    with open_store(place, make=True) as store:
        with pytest.raises(ConfigError, match="camera name"):
            store.write_live(LiveCamera("../etc", 1, 1, 1.0, None, None))
        lost = LiveObject("top", 1, np.full((4, 4), np.nan), np.full(3, np.nan), 0.5)
        store.write_live(LiveCamera("left", 1, 1, 1.0, None, None, (lost,)))
        (camera,) = store.live_cameras()
        assert camera.objects[0].pose is None
        assert camera.objects[0].size is None


def test_what_is_added_after_live_writes_is_on_the_disk(place):
    with open_store(place, make=True) as store:
        store.write_live(LiveCamera("left", 1, 1, 1.0, None, None))
        if is_postgres(place):
            assert store._rows("SHOW synchronous_commit") == [("on",)]
        else:
            assert store._rows("PRAGMA synchronous") == [(2,)]  # FULL
