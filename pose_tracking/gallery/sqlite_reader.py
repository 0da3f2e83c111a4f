"""Reading a gallery in SQLite: what is asked of it, and the search by looks, which is sqlite-vec's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path as FilePath
from typing import Any, TypeVar

import numpy as np

from pose_tracking.core.arrays import Float32
from pose_tracking.core.errors import StoreError
from pose_tracking.core.events import Event, EventKind

from .filters import Filter
from .sighting import Crop, StoredSighting
from .sqlite_rows import (
    COLUMNS,
    FROM,
    path_comes_near,
    read_sighting,
    unpack_path,
    unpack_pose,
    vector_condition,
    where_clause,
)
from .sqlite_schema import connect, rows, store_errors
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

MOST_NEIGHBOURS = 4096  # sqlite-vec gives no more at once
Reader = TypeVar("Reader", bound="SqliteReader")


class SqliteReader:
    """`GalleryReader` in one file. It never waits for a writer, nor a writer for it.

    Args:
        path: the file.
        read_only: open what is there; else it is made where there is none.

    Raises:
        ConfigError: sqlite-vec is not installed.
        StoreError: see `sqlite_schema.connect`.
    """

    def __init__(self, path: str | FilePath, read_only: bool = True) -> None:
        self.path = FilePath(path).expanduser()
        self._database = connect(self.path, read_only)
        self._database.create_scalar_function("path_comes_near", path_comes_near, 5, deterministic=True)

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._database.close()

    @property
    def embedding(self) -> EmbeddingKind | None:
        """See `GalleryReader`."""
        with store_errors(self.path):
            found = self._database.execute("SELECT value FROM meta WHERE key = 'embedding'").get
        return None if found is None else EmbeddingKind(**json.loads(found))

    @property
    def size(self) -> int:
        """Bytes in use, what free pages take not counted."""
        with store_errors(self.path):
            pages, free, page = (self._database.pragma(p) for p in ("page_count", "freelist_count", "page_size"))
        return int(page * (pages - free))

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
            "LEFT JOIN sightings s ON s.camera_id = c.id GROUP BY c.id ORDER BY c.name"
        )
        return [CameraEntry(name, frame, unpack_pose(pose), *rest) for name, frame, pose, *rest in found]

    def identities(self, where: Filter, limit: int = 100, offset: int = 0) -> list[IdentityEntry]:
        """See `GalleryReader`."""
        condition, values = where_clause(where)
        found = self._rows(
            f"SELECT s.identity, max(s.end_ns) AS last FROM {FROM} WHERE s.identity IS NOT NULL AND {condition} "
            "GROUP BY s.identity ORDER BY last DESC, s.identity LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return [self._identity(number) for number, _ in found]

    def _identity(self, number: int) -> IdentityEntry:
        members = self._rows(
            f"SELECT s.id, s.class_name, c.name, s.start_ns, s.end_ns FROM {FROM} WHERE s.identity = ? "
            "ORDER BY s.end_ns",
            (number,),
        )
        last = members[-1]
        ((data, map_frame),) = self._rows("SELECT path, map_frame FROM sightings WHERE id = ?", (last[0],))
        path = unpack_path(data)
        place = path.positions[-1] if len(path) and map_frame is not None else None
        cameras = tuple(dict.fromkeys(camera for _, _, camera, _, _ in members))
        start = min(m[3] for m in members)
        return IdentityEntry(number, last[1], cameras, len(members), start, last[4], last[2], place, map_frame)

    def find(self, where: Filter, limit: int | None = None, offset: int = 0) -> list[StoredSighting]:
        """See `GalleryReader`."""
        condition, values = where_clause(where)
        found = self._rows(
            f"SELECT {COLUMNS} FROM {FROM} WHERE {condition} ORDER BY s.end_ns DESC, s.id DESC LIMIT ? OFFSET ?",
            [*values, -1 if limit is None else limit, offset],
        )
        return self._with_events([read_sighting(row) for row in found])

    def _with_events(self, sightings: list[StoredSighting]) -> list[StoredSighting]:
        """The same with what happened to each."""
        for sighting in sightings:
            told = self._rows(
                "SELECT kind, onset_ns, end_ns, confidence, note FROM events WHERE sighting_id = ? ORDER BY id",
                (sighting.id,),
            )
            sighting.events = [
                Event(EventKind(kind), sighting.track_id, sighting.obj_id, sighting.class_name, *rest)
                for kind, *rest in told
            ]
        return sightings

    def nearest(self, embeddings: Float32, where: Filter, limit: int = 10) -> list[Match]:
        """See `GalleryReader`."""
        kind = self.embedding
        if kind is None:
            return []
        if embeddings.ndim != 2 or embeddings.shape[1] != kind.dimensions:
            raise StoreError(f"{self.path}: holds embeddings of {kind.dimensions} numbers, not {embeddings.shape[-1]}")
        condition, values = vector_condition(where)
        # So many crops are enough sightings.
        count = min(limit * CROPS_A_SIGHTING, MOST_NEIGHBOURS)
        best: dict[int, tuple[float, int]] = {}
        for vector, camera in product(np.ascontiguousarray(embeddings, "<f4"), where.cameras or (None,)):
            of_camera = "" if camera is None else " AND camera_id = (SELECT id FROM cameras WHERE name = ?)"
            found = self._rows(
                "WITH found AS MATERIALIZED (SELECT crop_id, distance FROM vectors WHERE embedding MATCH ? AND k = ?"
                f"{of_camera}{condition}) "
                "SELECT f.distance, f.crop_id, k.sighting_id FROM found f JOIN crops k ON k.id = f.crop_id",
                [vector.tobytes(), count, *([] if camera is None else [camera]), *values],
            )
            for distance, crop, sighting in found:
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
        out = {}
        for sighting in sightings:
            found = self._rows(
                "SELECT v.embedding FROM crops k JOIN vectors v ON v.crop_id = k.id WHERE k.sighting_id = ? "
                "ORDER BY k.id",
                (sighting,),
            )
            if found:
                out[sighting] = np.stack([np.frombuffer(data, "<f4") for (data,) in found])
        return out

    @property
    def last_identity(self) -> int:
        """See `GalleryReader`."""
        found = self._rows("SELECT value FROM meta WHERE key = 'last_identity'")
        return int(found[0][0]) if found else 0

    def proposals(self) -> list[Proposal]:
        """See `GalleryReader`."""
        return [Proposal(*row) for row in self._rows("SELECT a, b, score, reason FROM proposals ORDER BY score DESC")]

    def decisions(self) -> list[Decision]:
        """See `GalleryReader`."""
        found = self._rows("SELECT kind, a, b, at_ns, decided_by FROM decisions WHERE NOT is_superseded ORDER BY id")
        return [Decision(*row) for row in found]

    def _rows(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        with store_errors(self.path):
            return rows(self._database, sql, values)
