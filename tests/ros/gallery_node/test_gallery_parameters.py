"""Which cameras the gallery node listens to, and what it is told of them."""

from __future__ import annotations

import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.stores import open_store
from pose_tracking.ros.gallery_node.parameters import (
    GALLERY_PARAMETERS,
    Source,
    places_of,
    source_of_topic,
    sources_of,
)


def test_cameras_are_named_after_their_namespace():
    assert source_of_topic("/left/tracker/objects") == Source("left", "/left/tracker")
    assert source_of_topic("/cell/two/tracker/objects") == Source("cell.two", "/cell/two/tracker")
    assert source_of_topic("/tracker/objects") == Source("tracker", "/tracker")
    assert source_of_topic("/left/other/objects") == Source("left.other", "/left/other")
    assert source_of_topic("/ground_truth/things") is None
    with pytest.raises(ConfigError, match="camera name"):
        source_of_topic("/_hidden/tracker/objects")


def test_cameras_that_are_listed():
    assert sources_of(["left", "door=/a/b/tracker"]) == [
        Source("left", "/left/tracker"),
        Source("door", "/a/b/tracker"),
    ]
    assert sources_of(["left"])[0].objects == "/left/tracker/objects"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["left", "left=/a/tracker"], "two cameras are called 'left'"),
        (["left=/a/tracker", "right=/a/tracker"], "named twice"),
        (["../x"], "camera name"),
        (["<b>"], "camera name"),
        (["left=tracker"], "name the tracker node"),
    ],
)
def test_cameras_that_cannot_be(entries, said):
    with pytest.raises(ConfigError, match=said):
        sources_of(entries)


def test_places(tmp_path):
    path = tmp_path / "left.yaml"
    path.write_text("position: [1, 2, 3]\nquaternion_xyzw: [0, 0, 0, 1]\n")
    assert places_of([f"left={path}"])["left"].pose[:3, 3].tolist() == [1, 2, 3]
    for entries, said in (
        (["left"], "NAME=FILE"),
        (["left=/nowhere.yaml"], "cannot be read"),
        ([f"left={path}", f"left={path}"], "at two places"),
    ):
        with pytest.raises(ConfigError, match=said):
            places_of(entries)


def test_values_out_of_range_and_other_stores():
    with pytest.raises(ConfigError, match="retention_days"):
        GALLERY_PARAMETERS["retention_days"].coerce(-1.0)
    with pytest.raises(ConfigError, match="no such kind"):
        open_store("mysql://x", make=True)
