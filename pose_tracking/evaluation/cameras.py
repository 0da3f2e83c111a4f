"""Scores identities over several simulated cameras: views that overlap, and rooms apart from each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.sample import Sample
from pose_tracking.gallery.collector import CollectorConfig
from pose_tracking.gallery.embedding import CropEmbedder
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.ingest import CameraSettings, ingest
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.recordings import fingerprint_of_text
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import GalleryReader, GalleryStore, Recording
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.simulation.sequences.plain import SequenceConfig
from pose_tracking.simulation.sequences.source import SimulatedSequences

from .metrics.retrieval import average_precision

ROOM_LATER = 3600.0  # seconds from one room to the next: that long the things take to be put there
# A sighting is of the instance that is nearest to it, within this share of its diameter, at most of its points.
_WITHIN = 0.5

Truth = tuple[int, int] | None  # seed and instance id; None: nothing that is there
# By stamp: object, instance and place in the map of all that is there.
Places = dict[int, list[tuple[int, int, np.ndarray]]]


@dataclass
class Counts:
    """Pairs of sightings of two cameras, and searches from one room for what is in another.

    Attributes:
        linked, linked_right, same: pairs of overlapping cameras that have one identity, those of them that are one
            thing, and all that are.
        silent, silent_right: the same of cameras apart; these were linked without being asked.
        same_apart, proposed_right: pairs of cameras apart that are one thing, and those of them that are proposed.
        sightings, false: number of sightings, and of those of nothing that is there.
        searches: of each search from another room, by whether copies of the thing are about: whether the first result
            is the very thing, whether it is of its class, and the average precision.
    """

    linked: int = 0
    linked_right: int = 0
    same: int = 0
    silent: int = 0
    silent_right: int = 0
    same_apart: int = 0
    proposed_right: int = 0
    sightings: int = 0
    false: int = 0
    searches: dict[bool, list[tuple[bool, bool, float]]] = field(default_factory=lambda: {False: [], True: []})


class _Remembering:
    """A simulated camera, whose truth is kept as it is rendered."""

    def __init__(self, source: SimulatedSequences) -> None:
        self._source, self.name = source, source.name
        self.places: Places = {}

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._source:
            self.places[sample.frame.stamp_ns] = places_of(sample)
            yield sample


def places_of(sample: Sample) -> list[tuple[int, int, np.ndarray]]:
    """What is where in the map, by the truth of a frame whose camera's place is known."""
    pose = sample.frame.camera_pose
    assert pose is not None
    return [(o.obj_id, o.instance_id or 0, (pose @ o.pose)[:3, 3]) for o in sample.objects or ()]


def evaluate_cameras(
    model: str,
    seeds: Sequence[int],
    views: int,
    rooms: int,
    frames: int,
    device: str = "cpu",
    background: bool = False,
) -> dict[str, Any]:
    """Track what `views` cameras around each of `rooms` tables see, link it, and compare with the truth.

    Args:
        model: bundle.
        seeds: a world each; only within one anything is compared.
        views: cameras in the first room; the others have one.
        rooms: tables that the things of a world stand on, an hour after one another.
        frames: of each camera, 10 a second.
        device: torch device.
        background: whether crops keep what stands around a thing, for comparison.

    Raises:
        ConfigError: there would be a single camera.
    """
    if views * rooms < 2:
        raise ConfigError("one camera alone: give --views 2 or more, or --rooms 2 or more")
    bundle = ModelBundle.load(model)
    tracker = PoseTracker(bundle, device)
    embedder = CropEmbedder.of(tracker)
    counts = Counts()
    with TemporaryDirectory() as folder:
        for seed in seeds:
            with SqliteStore(Path(folder) / f"{seed}.db") as store:
                config = CollectorConfig(background=background)
                truth = _take_in(store, tracker, embedder, seed, views, rooms, frames, config)
                link(store)
                room_of = {camera.name: int(camera.name.partition("-")[0]) for camera in store.cameras()}
                count_pairs(store, truth, room_of, counts)
    return {
        "model": bundle.name, "seeds": list(seeds), "views": views, "rooms": rooms, "frames": frames,
        "embedding": str(embedder.kind), **scores_of(counts),
    }  # fmt: skip


def _take_in(
    store: GalleryStore,
    tracker: PoseTracker,
    embedder: CropEmbedder,
    seed: int,
    views: int,
    rooms: int,
    frames: int,
    kept: CollectorConfig,
) -> dict[int, Truth]:
    """Fill a store with what all cameras see of a world; who each sighting is of."""
    truth: dict[int, Truth] = {}
    cameras = [(0, view) for view in range(views)] + [(room, 0) for room in range(1, rooms)]
    for room, view in cameras:
        config = SequenceConfig(frames=frames, view=view, room=room)
        source = _Remembering(SimulatedSequences(tracker.objects, [seed], config))
        name, offset = f"{room}-{view}", round(room * ROOM_LATER * 1e9)
        recording = Recording(name, name, fingerprint_of_text(f"{seed} {name}"), {})
        where = CameraSettings(f"room {room}", clock_offset_ns=offset)
        ingest(source, tracker, store, embedder, recording, where, config=kept, progress=True)
        for sighting in store.find(Filter(cameras=(name,))):
            truth[sighting.id] = truth_of(sighting, source.places, seed, tracker.objects, offset)
    return truth


def truth_of(sighting: StoredSighting, places: Places, seed: int, objects: ObjectSet, offset: int = 0) -> Truth:
    """Which instance a sighting is of: that which most points of its path are nearest to.

    Args:
        sighting: of one camera.
        places: the truth of its frames.
        seed: of the world.
        objects: the known objects.
        offset: how much later the stamps of the sighting are than those of `places`, nanoseconds.
    """
    votes: dict[int, int] = defaultdict(int)
    reach = _WITHIN * objects[sighting.obj_id].diameter
    for stamp, position in zip(sighting.path.stamps_ns, sighting.path.positions, strict=True):
        near = [
            (float(np.linalg.norm(place - position)), instance)
            for obj_id, instance, place in places[int(stamp) - offset]
            if obj_id == sighting.obj_id
        ]
        distance, instance = min(near, default=(np.inf, 0))
        votes[instance if distance <= reach else 0] += 1
    best = max(votes, key=lambda instance: votes[instance], default=0)
    return (seed, best) if best else None


def count_pairs(store: GalleryReader, truth: dict[int, Truth], rooms: Mapping[str, int], counts: Counts) -> None:
    """Compare the identities of a store with who each sighting is of, by number; `rooms` of the cameras by name."""
    sightings = sorted(store.find(Filter()), key=lambda s: s.id)
    identity = {s.id: s.identity for s in sightings}
    proposed = {frozenset((identity[p.a], identity[p.b])) for p in store.proposals()}
    counts.sightings += len(sightings)
    counts.false += sum(truth[s.id] is None for s in sightings)
    for a, b in combinations(sightings, 2):
        if a.camera == b.camera:
            continue
        is_same = truth[a.id] is not None and truth[a.id] == truth[b.id]
        is_linked = a.identity == b.identity
        if rooms[a.camera] == rooms[b.camera]:
            counts.same += is_same
            counts.linked += is_linked
            counts.linked_right += is_linked and is_same
        else:
            counts.same_apart += is_same
            counts.silent += is_linked
            counts.silent_right += is_linked and is_same
            counts.proposed_right += is_same and frozenset((a.identity, b.identity)) in proposed
    _search(store, sightings, truth, rooms, counts)


def _search(
    store: GalleryReader,
    sightings: Sequence[StoredSighting],
    truth: dict[int, Truth],
    rooms: Mapping[str, int],
    counts: Counts,
) -> None:
    """Search the first room for what is seen in each other one, by looks alone."""
    first = [s for s in sightings if rooms[s.camera] == 0]
    cameras = tuple(sorted({s.camera for s in first}))
    instances: dict[str, set[Truth]] = defaultdict(set)
    for s in sightings:
        if truth[s.id] is not None:
            instances[s.class_name].add(truth[s.id])
    for s in sightings:
        vectors = store.embeddings([s.id]).get(s.id)
        if s in first or truth[s.id] is None or vectors is None:
            continue
        if not any(truth[other.id] == truth[s.id] for other in first):
            continue
        matches = store.nearest(vectors, Filter(cameras=cameras), len(first))
        right = [truth[m.sighting.id] == truth[s.id] for m in matches]
        has_copies = len(instances[s.class_name]) > 1
        is_class = any(m.sighting.class_name == s.class_name for m in matches[:1])
        # What has no picture cannot be found: a miss.
        precision = average_precision(right) if any(right) else 0.0
        counts.searches[has_copies].append((any(right[:1]), is_class, precision))


def scores_of(counts: Counts) -> dict[str, Any]:
    """The figures of counts."""

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    searches = {}
    for has_copies, name in ((False, "differ_in_looks"), (True, "have_copies")):
        found = counts.searches[has_copies]
        searches[name] = {
            "searches": len(found),
            "rank_1": share(sum(f[0] for f in found), len(found)),
            "rank_1_class": share(sum(f[1] for f in found), len(found)),
            "map": float(np.mean([f[2] for f in found])) if found else None,
        }
    return {
        "sightings": counts.sightings,
        "false_sightings": counts.false,
        "overlapping": {
            "pairs": counts.same,
            "precision": share(counts.linked_right, counts.linked),
            "recall": share(counts.linked_right, counts.same),
        },
        "apart": {
            "pairs": counts.same_apart,
            "silent": counts.silent,
            "silent_wrong": counts.silent - counts.silent_right,
            "proposed": counts.proposed_right,
        },
        "search": searches,
    }


def format_scores(scores: dict[str, Any]) -> str:
    """The scores as text."""

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    overlapping, apart = scores["overlapping"], scores["apart"]
    lines = [
        f"{len(scores['seeds'])} worlds, {scores['views']} views, {scores['rooms']} rooms, {scores['frames']} frames "
        f"of each camera: {scores['sightings']} sightings, {scores['false_sightings']} of nothing",
        f"embedding: {scores['embedding']}",
        f"overlapping cameras, {overlapping['pairs']} pairs of one thing: precision {text(overlapping['precision'])}, "
        f"recall {text(overlapping['recall'])}",
        f"cameras apart, {apart['pairs']} pairs of one thing: {apart['silent']} linked without being asked, "
        f"{apart['silent_wrong']} of them wrong; {apart['proposed']} of the pairs proposed",
    ]
    for name, label in (("differ_in_looks", "the only one of its class"), ("have_copies", "one of several copies")):
        found = scores["search"][name]
        lines.append(
            f"search by looks across rooms for {label}, {found['searches']} searches: rank-1 {text(found['rank_1'])} "
            f"(right class {text(found['rank_1_class'])}), mAP {text(found['map'])}"
        )
    return "\n".join(lines)
