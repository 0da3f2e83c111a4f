"""What a query finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from pose_tracking.core.arrays import Float32
from pose_tracking.core.errors import ConfigError

from .color_transform import distance_of_picture
from .filters import Filter
from .query import Query, moment_of
from .sighting import StoredSighting
from .store import GalleryReader


@dataclass(frozen=True)
class Result:
    """A sighting that was found, the recording it lies in, and its cosine distance where looks were asked for."""

    sighting: StoredSighting
    recording: str
    distance: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """What people and programs want to know of it: times as seconds since 1970 and as ISO 8601, metres."""
        s = self.sighting
        place = s.path.positions[-1].round(4).tolist() if len(s.path) else None
        return {
            "sighting": s.id,
            "identity": s.identity,
            "class": s.class_name,
            "camera": s.camera,
            "start": moment_of(s.start_ns).isoformat(),
            "end": moment_of(s.end_ns).isoformat(),
            "start_s": s.start_ns / 1e9,
            "end_s": s.end_ns / 1e9,
            "frame": s.map_frame or "camera",
            "position": place,
            "events": [
                {
                    "kind": e.kind.value,
                    "onset_s": e.onset_ns / 1e9,
                    "end_s": e.end_ns / 1e9,
                    "confidence": round(e.confidence, 4),
                    "note": e.note,
                }
                for e in s.events
            ],
            "score": round(s.score, 4),
            "frames": s.frames,
            "track": s.track_id,
            "scene": s.epoch,
            "recording": self.recording,
            "distance": None if self.distance is None else round(self.distance, 4),
        }


def newest_day(store: GalleryReader) -> date | None:
    """The day of the newest sighting, which times of day in a query are of."""
    newest = store.find(Filter(), limit=1)
    return moment_of(newest[0].end_ns).date() if newest else None


def search(store: GalleryReader, query: Query, like: Float32 | None = None, limit: int = 20) -> list[Result]:
    """Sightings that a query lets through: newest first, or by their looks where it asks for these.

    Args:
        store: where to look.
        query: the conditions.
        like: (Q, D) embeddings of pictures, in place of the sighting that the query names.
        limit: most results.

    Raises:
        ConfigError: a camera or the sighting that the query names does not exist, or two things say what to look like.
        StoreError: the store cannot be read.
    """
    known = [camera.name for camera in store.cameras()]
    for name in query.where.cameras:
        if name not in known:
            raise ConfigError(f"there is no camera {name!r}; cameras: {', '.join(known) or 'none yet'}")
    if query.like is not None:
        if like is not None:
            raise ConfigError("like: and a picture are given: only one of them can say what to look like")
        like = _looks_of(store, query.like)
    recordings = {recording.id: recording.name for recording in store.recordings()}
    if like is None:
        return [Result(s, recordings[s.source]) for s in store.find(query.where, limit)]
    # One more: the sighting itself is no answer.
    matches, kind = store.nearest(like, query.where, limit + 1), store.embedding
    found = [
        Result(m.sighting, recordings[m.sighting.source], distance_of_picture(m.distance, like[0], kind.name))
        for m in matches
        if kind is not None
    ]
    return [result for result in found if result.sighting.id != query.like][:limit]


def of_identity(query: Query, identity: int) -> Query:
    """The query within one identity."""
    return replace(query, where=replace(query.where, identity=identity))


def _looks_of(store: GalleryReader, sighting: int) -> Float32:
    if not store.find(Filter(ids=(sighting,)), limit=1):
        raise ConfigError(f"like:{sighting}: there is no such sighting")
    found = store.embeddings([sighting])
    if sighting not in found:
        raise ConfigError(f"like:{sighting}: this sighting has no picture to go by")
    return found[sighting]
