"""The gallery node killed at random moments while two trackers speak: what it has told of is on the disk."""

from __future__ import annotations

import random
from functools import partial

import pytest

pytest.importorskip("sqlite_vec", reason="the gallery extra is not installed")

from gallery_rig import FakeTracker, GalleryRig
from live_samples import thing

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader


def has_begun(times: int, rig: GalleryRig) -> bool:
    """Whether the node has come up more than so many times."""
    return rig.output.count("keeps sightings in") > times


def test_no_sighting_that_was_told_of_is_lost_by_kill_9(settings, tmp_path):
    report, rng = settings.report("gallery_kills"), random.Random(settings.seed)
    rig = GalleryRig(tmp_path / "gallery.db", tmp_path / "log", link_every=0.5, live_period=0.1)
    trackers = [FakeTracker(rig, name) for name in ("left", "door")]
    there: set[tuple[int, str, int]] = set()
    stamp, unborn, begun = 10.0, 0, 0
    try:
        for _ in range(settings.restarts):
            if rng.random() < 0.2:  # while it starts
                rig.spin(lambda: False, rng.uniform(0, 3))
            else:
                # The one before is in the graph for a while: what counts is the new one's line.
                assert rig.spin(partial(has_begun, begun, rig), 240), rig.output
                for tracker in trackers:
                    tracker.wait()
                for _ in range(rng.randint(1, 25)):
                    for number, tracker in enumerate(trackers):
                        for step in range(4):
                            tracker.say(stamp + step / 10, thing(number + 1, age=step / 10))
                        tracker.show(stamp, number + 1)
                    stamp += 2
                    rig.spin(lambda: False, 0.05)
                rig.spin(lambda: False, rng.uniform(0, 1.5))
            rig.kill()
            told = {number for number, _, _ in rig.kept}
            if rig.store.exists() and told:
                with SqliteReader(rig.store) as store:
                    now = {(s.id, s.camera, s.start_ns) for s in store.find(Filter())}
                assert told <= {number for number, _, _ in now}
                assert there <= now
                there = now
            else:
                unborn += 1
            begun = rig.output.count("keeps sightings in")
            rig.start()
    finally:
        report.write(
            "see the test", kills=settings.restarts, told=len(rig.kept), kept=len(there), before_the_first=unborn
        )
        rig.close()
    assert len(rig.kept) > settings.restarts
