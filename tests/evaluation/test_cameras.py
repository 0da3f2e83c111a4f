"""Identities over simulated cameras, scored against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from gallery_samples import SECOND, filled, path_of, sighting

from pose_tracking.core.errors import ConfigError
from pose_tracking.evaluation.camera_scores import Counts, count_pairs, format_scores, scores_of
from pose_tracking.evaluation.cameras import evaluate_cameras, truth_of
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking.linker import link
from pose_tracking.objects import ObjectSet


def test_pairs_are_counted_by_hand(tmp_path) -> None:
    """Two views of two things, of which one link is wrong and one is missing, and one of the things in another room."""
    store, (a, b, c, d, e) = filled(
        tmp_path / "gallery.db",
        [
            sighting("0-0", 1, 1, 3, (0, 0, 0), thing=1, map_frame="room 0"),
            sighting("0-0", 2, 1, 3, (1, 0, 0), thing=2, map_frame="room 0"),
            sighting("0-1", 1, 1, 3, (0, 0, 0), thing=1, map_frame="room 0"),
            sighting("0-1", 2, 1, 3, (1, 0, 0), thing=2, map_frame="room 0"),
            sighting("1-0", 1, 60, 63, (0, 0, 0), thing=1, map_frame="room 1"),
        ],
    )
    store.link({a: 1, b: 2, c: 1, d: 1, e: 2}, [])
    counts = Counts()
    rooms = {camera.name: int(camera.name.partition("-")[0]) for camera in store.cameras()}
    count_pairs(store, {a: (7, 1), b: (7, 2), c: (7, 1), d: (7, 2), e: (7, 1)}, rooms, counts)
    scores = scores_of(counts)
    # Linked are a-c, which is right, and a-d; of one thing are a-c and b-d.
    assert scores["overlapping"] == {"pairs": 2, "precision": 0.5, "recall": 0.5}
    # e is linked with b, wrongly, and not with a and c.
    assert scores["apart"] == {"pairs": 2, "silent": 1, "silent_wrong": 1, "proposed": 0}
    found = scores["search"]["have_copies"]
    assert (found["searches"], found["rank_1"], found["map"]) == (1, 1.0, 1.0)
    assert scores["search"]["differ_in_looks"]["rank_1"] is None
    # The same where the two are known to differ in colour, and by too little.
    for difference, kind in ((0.11, "differs_in_color"), (0.09, "have_copies")):
        counts = Counts()
        tints = {(7, 1): np.eye(3), (7, 2): (1 + difference) * np.eye(3)}
        count_pairs(store, {a: (7, 1), b: (7, 2), c: (7, 1), d: (7, 2), e: (7, 1)}, rooms, counts, tints)
        assert {name: len(found) for name, found in counts.searches.items() if found} == {kind: 1}
        assert scores_of(counts)["search"]["differ_in_looks"]["searches"] == (kind == "differs_in_color")


def test_who_a_sighting_is_of(tmp_path, demo_objects: ObjectSet) -> None:
    places = {
        k * SECOND + 5: [(1, 4, np.array([0.1 * k, 0, 0])), (1, 5, np.array([0.1 * k, 0.2, 0]))] for k in (1, 2, 3)
    }
    moving = path_of([1 + 5e-9, 2 + 5e-9, 3 + 5e-9], [(0.1, 0.01, 0), (0.2, 0.19, 0), (0.3, 0.01, 0)])
    lost = path_of([1 + 5e-9], [(0.1, 5, 0)])
    store, _ = filled(tmp_path / "gallery.db", [sighting("a", 1, path=moving), sighting("a", 2, path=lost)])
    first, second = sorted(store.find(Filter()), key=lambda s: s.track_id)
    assert truth_of(first, places, 7, demo_objects) == (7, 4)
    assert truth_of(second, places, 7, demo_objects) is None
    link(store)


def test_two_views_of_a_simulated_world() -> None:
    scores = evaluate_cameras("demo", [71001], views=2, rooms=1, frames=4)
    assert scores["sightings"] >= 6
    assert scores["overlapping"]["precision"] == 1.0
    assert "overlapping cameras" in format_scores(scores)
    with pytest.raises(ConfigError, match="one camera alone"):
        evaluate_cameras("demo", [71001], views=1, rooms=1, frames=4)
