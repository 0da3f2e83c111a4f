"""Three cameras live into one gallery, as `make demo-cameras` shows it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")
pytest.importorskip("sqlite_vec", reason="the gallery extra is not installed")

from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.ros.tools import page_tour
from pose_tracking.ros.tools.cameras_demo import CamerasDemoOptions, run_cameras_demo


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_cameras_live(tmp_path):
    looked = []

    def look(store, out):
        looked.append((store, out))
        return ["seen"]

    result = run_cameras_demo(CamerasDemoOptions(tmp_path, frames=8, seed=71001), look)
    assert (result.frames, result.answered, result.notes) == (24, 24, ["seen"])
    assert looked == [(tmp_path / "gallery.db", tmp_path)]
    assert result.scores["overlapping"]["precision"] == result.scores["overlapping"]["recall"] == 1
    assert result.scores["overlapping"]["pairs"] >= 3
    assert result.scores["apart"]["silent_wrong"] == 0
    assert json.loads((tmp_path / "scores.json").read_text())["sightings"] == result.sightings
    with SqliteReader(tmp_path / "gallery.db") as store:
        assert {camera.name for camera in store.cameras()} == {"left", "right", "hall"}
        assert all(camera.map_frame == "map" for camera in store.cameras())


def test_what_the_page_needs_is_said_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(page_tour, "BROWSERS", ("no-such-browser",))
    (note,) = page_tour.tour(tmp_path / "gallery.db", tmp_path)
    assert "Chromium" in note
