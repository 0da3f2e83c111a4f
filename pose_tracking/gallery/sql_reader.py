"""Reading a gallery in tables: what is asked of it, in the SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from pose_tracking.core.arrays import Float32
from pose_tracking.core.errors import StoreError
from pose_tracking.core.events import Event, EventKind

from .filters import Filter
from .live import LiveCamera
from .sighting import Crop, StoredSighting
from .sql_database import SqlDatabase
from .sql_live import live_cameras
from .sql_rows import COLUMNS, FROM, read_sighting, unpack_path, unpack_pose, where_clause
from .store import (
    CROPS_A_SIGHTING,
    CameraEntry,
    Decision,
    EmbeddingKind,
    IdentityEntry,
    Match,
    Progress,
    Proposal,
    Recording,
)

_ALL = 2**62  # rows: no limit
_AT_ONCE = 500  # numbers in one statement
Reader = TypeVar("Reader", bound="SqlReader")


class SqlReader:
    """`GalleryReader` in a data base.

    Args:
        database: an open one, which is closed with the reader.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """What the gallery is called, for people; without a password."""
        return self._database.name

    def close(self) -> None:
        """Close the data base; a second time does nothing."""
        self._database.close()

    @property
    def embedding(self) -> EmbeddingKind | None:
        """See `GalleryReader`."""
        found = self._rows("SELECT value FROM meta WHERE key = 'embedding'")
        return EmbeddingKind(**json.loads(found[0][0])) if found else None

    @property
    def size(self) -> int:
        """Bytes in use, what free pages take not counted."""
        return self._database.size

    def recordings(self) -> list[Recording]:
        """See `GalleryReader`."""
        found = self._rows(
            "SELECT c.name, r.name, r.fingerprint, r.settings, r.id, r.is_done, r.frames, r.start_ns, r.end_ns, "
            "r.dropped, r.without_map FROM recordings r JOIN cameras c ON c.id = r.camera_id ORDER BY r.id"
        )
        return [
            Recording(
                camera, name, fingerprint, json.loads(settings), id, bool(is_done),
                Progress(frames, start, end, Counter(json.loads(dropped)), without_map),
            )
            for camera, name, fingerprint, settings, id, is_done, frames, start, end, dropped, without_map in found
        ]  # fmt: skip

    def cameras(self) -> list[CameraEntry]:
        """See `GalleryReader`."""
        found = self._rows(
            "SELECT c.name, c.map_frame, c.pose, count(s.id), min(s.start_ns), max(s.end_ns) FROM cameras c "
            "LEFT JOIN sightings s ON s.camera_id = c.id GROUP BY c.id"
        )
        # Here, because data bases order names by the language of the server.
        entries = [CameraEntry(name, frame, unpack_pose(pose), *rest) for name, frame, pose, *rest in found]
        return sorted(entries, key=lambda camera: camera.name)

    def classes(self) -> dict[str, int]:
        """See `GalleryReader`."""
        return dict(sorted(self._rows("SELECT class_name, count(*) FROM sightings GROUP BY class_name")))

    def identities(self, where: Filter, limit: int = 100, offset: int = 0) -> list[IdentityEntry]:
        """See `GalleryReader`."""
        condition, values = where_clause(where, self._database)
        found = self._rows(
            f"SELECT s.identity, max(s.end_ns) AS last FROM {FROM} WHERE s.identity IS NOT NULL AND {condition} "
            "GROUP BY s.identity ORDER BY last DESC, s.identity LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        members: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for number, *member in self._among(
            f"SELECT s.identity, s.id, s.class_name, c.name, s.start_ns, s.end_ns FROM {FROM} WHERE s.identity IN ",
            [number for number, _ in found],
            "ORDER BY s.end_ns, s.id",
        ):
            members[number].append(tuple(member))
        newest = [of[-1][0] for of in members.values()]
        paths = {
            id: rest for id, *rest in self._among("SELECT id, path, map_frame FROM sightings WHERE id IN ", newest)
        }
        return [_identity(number, members[number], *paths[members[number][-1][0]]) for number, _ in found]

    def find(self, where: Filter, limit: int | None = None, offset: int = 0) -> list[StoredSighting]:
        """See `GalleryReader`."""
        condition, values = where_clause(where, self._database)
        found = self._rows(
            f"SELECT {COLUMNS} FROM {FROM} WHERE {condition} ORDER BY s.end_ns DESC, s.id DESC LIMIT ? OFFSET ?",
            [*values, _ALL if limit is None else limit, offset],
        )
        return self._with_events([read_sighting(row) for row in found])

    def _with_events(self, sightings: list[StoredSighting]) -> list[StoredSighting]:
        """The same with what happened to each."""
        of = {sighting.id: sighting for sighting in sightings}
        for id, kind, *rest in self._among(
            "SELECT sighting_id, kind, onset_ns, end_ns, confidence, note FROM events WHERE sighting_id IN ",
            list(of),
            "ORDER BY id",
        ):
            sighting = of[id]
            sighting.events.append(
                Event(EventKind(kind), sighting.track_id, sighting.obj_id, sighting.class_name, *rest)
            )
        return sightings

    def nearest(self, embeddings: Float32, where: Filter, limit: int = 10) -> list[Match]:
        """See `GalleryReader`."""
        kind = self.embedding
        if kind is None:
            return []
        if embeddings.ndim != 2 or embeddings.shape[1] != kind.dimensions:
            raise StoreError(f"{self.name}: holds embeddings of {kind.dimensions} numbers, not {embeddings.shape[-1]}")
        # So many crops are enough sightings.
        count = limit * CROPS_A_SIGHTING
        best: dict[int, tuple[float, int]] = {}
        for vector in embeddings:
            for distance, crop, sighting in self._database.nearest(vector, count, where):
                best[sighting] = min(best.get(sighting, (np.inf, 0)), (max(distance, 0.0), crop))
        order = sorted(best, key=lambda sighting: best[sighting])[:limit]
        read = {s.id: s for s in self.find(Filter(ids=tuple(order)))} if order else {}
        return [Match(read[sighting], *best[sighting]) for sighting in order]

    def crops(self, sighting: int) -> list[Crop]:
        """See `GalleryReader`."""
        found = self._rows(
            "SELECT stamp_ns, image, x_min, y_min, x_max, y_max, area, sharpness FROM crops WHERE sighting_id = ? "
            "ORDER BY id",
            (sighting,),
        )
        return [Crop(stamp, image, np.array(box), area, sharp) for stamp, image, *box, area, sharp in found]

    def embeddings(self, sightings: Iterable[int]) -> dict[int, Float32]:
        """See `GalleryReader`."""
        if self.embedding is None:
            return {}
        found: dict[int, list[Float32]] = defaultdict(list)
        for some in _batches(list(sightings)):
            for sighting, vector in self._database.vectors(some):
                found[sighting].append(vector)
        return {sighting: np.stack(vectors) for sighting, vectors in found.items()}

    @property
    def last_identity(self) -> int:
        """See `GalleryReader`."""
        found = self._rows("SELECT value FROM meta WHERE key = 'last_identity'")
        return int(found[0][0]) if found else 0

    def proposals(self, limit: int | None = None) -> list[Proposal]:
        """See `GalleryReader`."""
        found = self._rows(
            "SELECT a, b, score, reason FROM proposals ORDER BY score DESC, a, b LIMIT ?",
            (_ALL if limit is None else limit,),
        )
        return [Proposal(*row) for row in found]

    def decisions(self) -> list[Decision]:
        """See `GalleryReader`."""
        found = self._rows("SELECT kind, a, b, at_ns, decided_by FROM decisions WHERE is_superseded = 0 ORDER BY id")
        return [Decision(*row) for row in found]

    def live_cameras(self) -> list[LiveCamera]:
        """See `GalleryReader`."""
        return live_cameras(self._database)

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._database.rows(sql, values)

    def _among(self, sql: str, numbers: Sequence[int], rest: str = "") -> Iterator[tuple[Any, ...]]:
        """Rows of a statement that ends with IN, for any number of numbers; the rest is the order of each batch."""
        for some in _batches(numbers):
            yield from self._rows(f"{sql} ({', '.join('?' * len(some))}) {rest}", some)


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), _AT_ONCE):
        yield numbers[first : first + _AT_ONCE]


def _identity(number: int, members: list[tuple[Any, ...]], data: bytes, map_frame: str | None) -> IdentityEntry:
    """An identity of its sightings' (id, class, camera, start, end), the last one last, and that one's path and map."""
    path, last = unpack_path(data), members[-1]
    place = path.positions[-1] if len(path) and map_frame is not None else None
    cameras = tuple(dict.fromkeys(camera for _, _, camera, _, _ in members))
    start = min(member[3] for member in members)
    return IdentityEntry(number, last[1], cameras, len(members), start, last[4], last[2], place, map_frame)
