"""Parts of the pages by themselves: the time line, the map, times as people read them."""

from __future__ import annotations

import numpy as np
import pytest
from gallery_samples import SECOND, filled, path_of, sighting

pytest.importorskip("fastapi")
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.geometry import make_transform
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.store import CameraEntry
from pose_tracking.web.forms import local_path, where_of
from pose_tracking.web.live_scene import camera_states
from pose_tracking.web.looks import box_of
from pose_tracking.web.matching import candidates, score_of
from pose_tracking.web.plan_view import HEIGHT, WIDTH, plan_view
from pose_tracking.web.present import ago, duration, place, query
from pose_tracking.web.timeline import LABEL, timeline
from pose_tracking.web.timeline import WIDTH as LINE


def test_a_time_line_keeps_order_and_cuts_what_lies_between(tmp_path):
    store, _ = filled(tmp_path / "g.db", [
        sighting("left", 1, 10, 20), sighting("right", 1, 15, 25), sighting("left", 2, 4000, 4010),
    ])  # fmt: skip
    with store:
        line = timeline(store.find(Filter()))
    assert [name for name, _ in line.lanes] == ["left", "right"]
    first, second, late = line.bars
    assert first.x < second.x < first.x + first.width < second.x + second.width < late.x
    (gap,) = line.gaps
    assert gap.seconds == pytest.approx(3975)
    assert second.x + second.width <= gap.x + 0.1
    assert all(b.x >= LABEL and b.x + b.width <= LINE for b in line.bars)


def test_a_time_line_of_very_many_visits_stays_within_its_width(tmp_path):
    many = [sighting("left", n, 1000.0 * n + 1, 1000.0 * n + 2) for n in range(200)]
    store, _ = filled(tmp_path / "g.db", many)
    with store:
        line = timeline(store.find(Filter()))
    assert len(line.bars) == 200
    assert 0 < len(line.gaps) <= 5
    assert all(LABEL <= b.x < LINE for b in line.bars)
    xs = [b.x for b in line.bars]
    assert xs == sorted(xs)


def test_a_time_line_of_one_instant(tmp_path):
    store, _ = filled(tmp_path / "g.db", [sighting("left", 1, 5, 5)])
    with store:
        line = timeline(store.find(Filter()))
    assert len(line.bars) == 1
    assert line.gaps == ()


def test_a_map_is_to_scale_with_x_to_the_right_and_y_upwards(tmp_path):
    path = path_of([1, 2], [(1.0, 2.0, 0.5), (3.0, 2.5, 0.5)])
    store, _ = filled(tmp_path / "g.db", [sighting("left", path=path)])
    look = make_transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), [0.0, 2.0, 1.0])
    with store:
        view = plan_view("map", store.find(Filter()), [CameraEntry("left", "map", look, 1, 0, 1)])
    assert view is not None
    (trail,) = view.trails
    (x0, y0), (x1, y1) = [tuple(map(float, p.split(","))) for p in trail.points.split()]
    assert x1 - x0 == pytest.approx(2.0 * view.scale, abs=0.2)
    assert y0 - y1 == pytest.approx(0.5 * view.scale, abs=0.2)
    assert (x0 - view.origin[0]) / view.scale == pytest.approx(1.0, abs=0.01)
    assert (view.origin[1] - y0) / view.scale == pytest.approx(2.0, abs=0.01)
    (camera,) = view.viewpoints
    field = np.array([[float(v) for v in p.split(",")] for p in camera.field.split()])
    assert (field[1:, 0] > field[0, 0]).all()  # looks along x
    for x, y in ((x0, y0), (x1, y1), (camera.x, camera.y)):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    lines = {metres: x for x, metres in view.grid_x}
    assert lines[1.0] == pytest.approx(x0, abs=0.2)
    assert view.height_m == pytest.approx(0.5)


def test_a_map_of_nothing_is_none_and_of_one_point_has_a_size(tmp_path):
    store, _ = filled(tmp_path / "g.db", [sighting("left", place=(5.0, 5.0, 0.0))])
    with store:
        seen = store.find(Filter())
    assert plan_view("elsewhere", seen, []) is None
    view = plan_view("map", seen, [])
    assert view is not None
    assert view.grid_x
    down = CameraEntry("above", "map", np.diag([1.0, -1, -1, 1]), 0, None, None)
    only = plan_view("map", [], [down])
    assert only is not None
    assert only.viewpoints[0].field == ""


def test_candidates_are_of_the_class_and_not_of_the_identity_itself(tmp_path):
    store, ids = filled(tmp_path / "g.db", [
        sighting("left", 1, 1, 3, thing=0), sighting("left", 2, 10, 12, thing=0), sighting("right", 1, 20, 22, thing=1),
        sighting("right", 2, 30, 32, thing=0, name="cup"),
    ])  # fmt: skip
    with store:
        store.link({ids[0]: 1, ids[1]: 2, ids[2]: 3, ids[3]: 4}, [])
        found = candidates(store, store.find(Filter(identity=1)), Filter())
    assert [c.sighting.identity for c in found] == [2, 3]
    assert found[0].score == pytest.approx(1.0, abs=1e-3)
    assert found[1].score == 0.0


def test_a_candidate_that_one_camera_saw_at_the_same_time_is_doubtful(tmp_path):
    store, ids = filled(tmp_path / "g.db", [sighting("left", 1, 1, 3), sighting("left", 2, 2, 4)])
    with store:
        store.link({ids[0]: 1, ids[1]: 2}, [])
        (found,) = candidates(store, store.find(Filter(identity=1)), Filter())
    assert found.note == "both seen by left at one time"


def test_scores():
    assert score_of(0.0, 0.2) == 1.0
    assert score_of(0.2, 0.2) == pytest.approx(0.5)
    assert score_of(2.0, 0.2) == 0.0


def test_forms_become_filters():
    where = where_of(None, classes=["a b", 'c"d', ""], cameras=["left"], text="x y", after="100", near="1, 2,3,0.5")
    assert where.classes == ("a b", 'c"d')
    assert where.cameras == ("left",)
    assert where.text == "x y"
    assert where.after_ns == 100 * SECOND
    assert where.near is not None
    assert where.near.radius == 0.5
    assert where_of(None) == Filter()
    with pytest.raises(ConfigError, match="later than before"):
        where_of(None, after="200", before="100")


@pytest.mark.parametrize("target", ["https://a/", "//a", "/\\a", "\\\\a", "a", "", "/x\ny", "http:a"])
def test_ways_to_other_servers_are_not_taken(target):
    assert local_path(target, "/home") == "/home"


def test_ways_on_this_server_are():
    assert local_path("/identities/1/matches?camera=a%20b", "/home") == "/identities/1/matches?camera=a%20b"


def test_times_as_people_read_them():
    assert [duration(s) for s in (0.25, 9.9, 61, 3600, 4335, 90_000)] == [
        "0.2 s", "9.9 s", "1 min 1 s", "1 h", "1 h 12 min", "1 d 1 h",
    ]  # fmt: skip
    assert [ago(0, s * SECOND) for s in (1, 59, 61, 7200, 200_000)] == [
        "now",
        "59 s ago",
        "1 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert place(np.array([-0.001, 1.0, 2.345])) == "0.00, 1.00, 2.35 m" or place(
        np.array([-0.001, 1, 2.345])
    ).startswith("0.00")
    assert query(class_=["a", "b"], page=2, text="") == "class=a&class=b&page=2"


def test_a_box_is_cut_out_of_a_picture():
    picture = np.arange(100 * 80 * 3, dtype=np.uint8).reshape(100, 80, 3)
    part = box_of(picture, (10.4, 20.2, 30.0, 50.7))
    assert part.shape == (31, 20, 4)
    assert (part[..., :3] == picture[20:51, 10:30]).all()
    assert (part[..., 3] == 255).all()
    for box in ((0, 0, 3, 3), (200, 200, 300, 300), (50, 50, 10, 10)):
        with pytest.raises(ConfigError, match="draw it larger"):
            box_of(picture, box)


def test_a_camera_of_which_nothing_was_kept_yet_is_there_while_it_is_live(tmp_path):
    from pose_tracking.gallery.live import LiveCamera

    store, _ = filled(tmp_path / "g.db", [sighting("left")])
    with store:
        store.write_live(LiveCamera("new", 1, 10 * SECOND, 5.0, None, None))
        left, new = camera_states(store, 12 * SECOND)
        assert (left.entry.name, left.live, left.is_live) == ("left", None, False)
        assert (new.entry.sightings, new.is_live, new.silent_seconds) == (0, True, 2.0)
        assert not camera_states(store, 16 * SECOND)[1].is_live
        assert camera_states(store, 9 * SECOND)[1].silent_seconds == 0.0  # its clock is ahead
