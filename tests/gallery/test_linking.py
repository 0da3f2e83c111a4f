"""Linking: place decides, looks propose where copies are about, and what people decided stays."""

from __future__ import annotations

import numpy as np
import pytest
from gallery_samples import SECOND, filled, path_of, progress, sighting
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking.config import LinkConfig
from pose_tracking.gallery.linking.curation import confirm, merge, reject, split
from pose_tracking.gallery.linking.groups import Groups
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.linking.looks import are_like_copies, distances_between
from pose_tracking.gallery.sighting import Sighting
from pose_tracking.gallery.sql_store import SqlStore
from pose_tracking.gallery.store import DIFFERENT, SAME, Decision


def linked(place: str, *sightings: Sighting) -> tuple[SqlStore, list[int]]:
    store, numbers = filled(place, list(sightings))
    link(store)
    return store, numbers


def identities(store: SqlStore, numbers: list[int]) -> list[int | None]:
    of = {s.id: s.identity for s in store.find(Filter())}
    return [of[number] for number in numbers]


def test_overlapping_views_are_linked_by_place_and_time(place: str) -> None:
    moving = [(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.5, 0.5, 0.0)]
    late = path_of([2, 3], [(0.505, 0.0, 0.0), (0.5, 0.505, 0.0)])
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, path=path_of([1, 2, 3], moving), thing=None),
        sighting("right", 1, 2, 3, path=late, thing=None),
        sighting("right", 2, 1, 3, (0.2, 0.2, 0), thing=None),
    )
    assert identities(store, numbers) == [1, 1, 2]
    assert store.proposals() == []


def test_copies_stay_apart_unless_place_decides(place: str) -> None:
    """Two copies that look the same, seen by two cameras, and again later elsewhere by one that sees another room."""
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, (0, 0, 0)),
        sighting("left", 2, 1, 3, (0.3, 0, 0)),
        sighting("right", 7, 1, 3, (0.3, 0.004, 0)),
        sighting("right", 8, 1, 3, (0.002, 0, 0)),
        sighting("door", 1, 60, 63, None, map_frame=None),
    )
    first = identities(store, numbers)
    assert first == [1, 2, 2, 1, 3]
    proposed = {frozenset((p.a, p.b)) for p in store.proposals()}
    assert len(proposed) == 2
    assert all(numbers[4] in pair for pair in proposed)
    assert all(0 < p.score <= 1 and p.reason == "looks" for p in store.proposals())


def test_a_place_that_two_could_be_at_is_proposed(place: str) -> None:
    """Half way between two copies, and nothing tells which."""
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, (0, 0, 0), thing=None),
        sighting("left", 2, 1, 3, (0.04, 0, 0), thing=None),
        sighting("right", 1, 1, 3, (0.0205, 0, 0), thing=None),
    )
    assert len(set(identities(store, numbers))) == 3
    assert {p.reason for p in store.proposals()} == {"place"}


def test_cameras_apart_are_linked_by_looks_where_nothing_else_looks_so(place: str) -> None:
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, thing=1, noise=0.05),
        sighting("door", 1, 60, 63, None, thing=1, noise=0.05, map_frame=None),
        sighting("door", 2, 60, 63, None, thing=2, noise=0.05, map_frame=None),
        sighting("door", 3, 60, 63, None, thing=1, name="top", map_frame=None),
    )
    assert identities(store, numbers) == [1, 1, 2, 3]


@pytest.mark.parametrize(("metres", "expected"), [(50, [1, 2]), (1, [1, 1])])
def test_nothing_is_faster_than_it_can_be(place: str, metres: float, expected: list[int]) -> None:
    store, numbers = linked(place, sighting("left", 1, 1, 3), sighting("right", 1, 4, 6, (metres, 0, 0)))
    assert identities(store, numbers) == expected
    assert store.proposals() == []


def test_seen_at_one_time_where_no_map_says_where_is_proposed(place: str) -> None:
    store, numbers = linked(place, sighting("left", 1, 1, 3), sighting("door", 1, 2, 4, None, map_frame=None))
    assert len(set(identities(store, numbers))) == 2
    assert len(store.proposals()) == 1


def test_what_was_left_at_rest_is_the_same_later(place: str) -> None:
    """Of two copies each at its place, seen again after a pause: place decides."""
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, (0, 0, 0)),
        sighting("left", 2, 1, 3, (0.3, 0, 0)),
        sighting("left", 3, 50, 55, (0.3, 0, 0)),
        sighting("left", 4, 51, 55, (0, 0, 0)),
        sighting("left", 5, 900, 905, (0, 0, 0), thing=None),
    )
    assert identities(store, numbers) == [1, 2, 2, 1, 3]


def test_parts_of_one_track_are_one(place: str) -> None:
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, None, map_frame=None),
        sighting("left", 1, 3.5, 6, None, part=1, map_frame=None),
        sighting("left", 2, 3.5, 6, None, map_frame=None),
    )
    assert identities(store, numbers) == [1, 1, 2]


def test_decisions_are_kept_across_linking(place: str) -> None:
    store, numbers = linked(
        place,
        sighting("left", 1, 1, 3, (0, 0, 0)),
        sighting("left", 2, 1, 3, (0.3, 0, 0)),
        sighting("door", 1, 60, 63, None, map_frame=None),
    )
    confirm(store, 2, 3)
    assert identities(store, numbers) == [1, 2, 2]
    reject(store, 1, 2)
    # More comes in, and all is linked anew.
    later = store.add(1, [sighting("left", 3, 70, 72, (0.3, 0, 0))], progress(0, 72))
    link(store)
    assert identities(store, [*numbers, *later]) == [1, 2, 2, 2]
    split(store, 2, [numbers[2]])
    link(store)
    assert identities(store, [*numbers, *later]) == [1, 2, 4, 2]
    with pytest.raises(ConfigError, match="nothing proposes"):
        confirm(store, 1, 2)
    merge(store, 1, 2)
    assert len(set(identities(store, [numbers[0], numbers[1], *later]))) == 1


def test_what_cannot_be_decided(place: str) -> None:
    store, numbers = linked(place, sighting("left", 1), sighting("left", 2, 5, 6, None, name="top", map_frame=None))
    with pytest.raises(ConfigError, match="no identity 9"):
        merge(store, 1, 9)
    with pytest.raises(ConfigError, match="is a mug and 2 a top"):
        merge(store, 1, 2)
    with pytest.raises(ConfigError, match="name two"):
        reject(store, 1, 1)
    with pytest.raises(ConfigError, match=f"has no sighting {numbers[1]}"):
        split(store, 1, [numbers[1]])
    with pytest.raises(ConfigError, match="not all"):
        split(store, 1, [numbers[0]])


def test_clocks_that_disagree_are_noted(place: str) -> None:
    places = [(0.0, 0.0, 0.0), (0.3, 0.0, 0.0), (0.0, 0.4, 0.0)]
    left = [sighting("left", k, 10, 20, place) for k, place in enumerate(places)]
    right = [sighting("right", k, 7210, 7220, place) for k, place in enumerate(places)]
    store, _ = filled(place, left + right)
    (note,) = link(store).notes
    assert "'left' and 'right'" in note
    assert "7190 s apart" in note
    assert "--clock-offset" in note


def test_numbers_are_never_given_again(place: str) -> None:
    store, numbers = linked(place, sighting("left", 1), sighting("left", 2, 1, 2, (1, 0, 0)))
    assert identities(store, numbers) == [1, 2]
    store.remove(before_ns=round(2.5 * SECOND))
    store.add(1, [sighting("left", 3, 1, 3, (2, 0, 0))], progress(0, 3))
    link(store)
    assert sorted(s.identity or 0 for s in store.find(Filter())) == [1, 3]


def test_distance_of_looks_by_hand() -> None:
    x, y, z = np.eye(3, dtype=np.float32)
    distances = distances_between([np.stack([x, y]), np.stack([x]), None, np.stack([z])])
    # From {x, y} to {x}: 0 and 1, mean 0.5; back: 0; both ways 0.25.
    assert distances[0, 1] == pytest.approx(0.25)
    assert distances[0, 3] == pytest.approx(1.0)
    assert np.isinf(distances[2]).all()


def test_who_looks_like_two_things() -> None:
    near = np.zeros((4, 4), bool)
    near[0, 1] = near[1, 0] = near[0, 2] = near[2, 0] = True
    different = np.zeros((4, 4), bool)
    different[1, 2] = different[2, 1] = True
    # 0 may be 1 or 2. 1 and 2 are known to be two, and look not like each other; 3 is alone.
    assert are_like_copies(near, different).tolist() == [True, False, False, False]
    near[1, 2] = near[2, 1] = True
    assert are_like_copies(near, different).tolist() == [True, True, True, False]


PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9)), max_size=40)


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_groups_never_join_what_must_stay_apart(steps: list[tuple[bool, int, int]]) -> None:
    """Against the plain definition: sets of members, and pairs that must never be in one set."""
    groups, sets, apart = Groups(range(10)), [{i} for i in range(10)], set[frozenset[int]]()

    def of(member: int) -> set[int]:
        return next(each for each in sets if member in each)

    for is_merge, a, b in steps:
        ours, theirs = of(a), of(b)
        barred = any(frozenset((x, y)) in apart for x in ours for y in theirs)
        if is_merge:
            assert groups.merge(a, b) == (not barred or ours is theirs)
            if ours is not theirs and not barred:
                ours |= theirs
                sets.remove(theirs)
        else:
            assert groups.keep_apart(a, b) == (ours is not theirs)
            if ours is not theirs:
                apart.add(frozenset((a, b)))
        assert groups.are_apart(a, b) == any(frozenset((x, y)) in apart for x in of(a) for y in of(b))
    assert sorted(map(sorted, groups.all().values())) == sorted(map(sorted, sets))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 7)), max_size=12))
def test_the_last_decision_on_a_pair_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int, int]]
) -> None:
    """Whatever the evidence says, what was decided last is so, and linking again changes nothing."""
    store, numbers = filled(
        tmp_path_factory.mktemp("decisions") / "gallery.db",
        [sighting(f"c{k % 3}", k, k, k + 1.5, (0.1 * k, 0, 0), thing=k % 2) for k in range(8)],
    )
    link(store)
    for is_same, a, b in steps:
        if a != b:
            store.decide([Decision(SAME if is_same else DIFFERENT, numbers[a], numbers[b])])
            link(store)
            first, second = identities(store, [numbers[a], numbers[b]])
            assert (first == second) == is_same
    before = identities(store, numbers)
    link(store, LinkConfig())
    assert identities(store, numbers) == before
    store.close()
