"""A gallery in one SQLite file: written ahead, so that what is acknowledged is on the disk and readers never wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError, StoreError

from .sighting import Sighting, check_camera_name
from .sqlite_decisions import hand_over
from .sqlite_reader import SqliteReader
from .sqlite_rows import pack_pose, sighting_values
from .sqlite_schema import immediate, store_errors, vector_table
from .store import CROPS_A_SIGHTING, Decision, EmbeddingKind, Progress, Proposal, Recording

REMOVED_AT_ONCE = 200


class SqliteStore(SqliteReader):
    """`GalleryStore` in one file.

    Args:
        path: the file; made where there is none.

    Raises:
        ConfigError: sqlite-vec is not installed.
        StoreError: see `sqlite_schema.connect`.
    """

    def __init__(self, path: str | FilePath) -> None:
        super().__init__(path, read_only=False)

    def use_embedding(self, kind: EmbeddingKind) -> None:
        """See `GalleryStore`."""
        with store_errors(self.path), immediate(self._database):
            there = self.embedding
            if there is None:
                self._database.execute(vector_table(kind.dimensions))
                self._database.execute("INSERT INTO meta VALUES ('embedding', ?)", (json.dumps(vars(kind)),))
                return
        if (there.name, there.dimensions, there.weights) != (kind.name, kind.dimensions, kind.weights):
            raise StoreError(
                f"{self.path}: holds embeddings of another kind ({there}) than this model's ({kind}), and the two "
                "cannot be compared: take the model of the store, or another store"
            )

    def begin(self, recording: Recording) -> Recording:
        """See `GalleryStore`."""
        check_camera_name(recording.camera)
        with store_errors(self.path), immediate(self._database):
            there = next((r for r in self.recordings() if r.fingerprint == recording.fingerprint), None)
            if there is not None and not there.progress.frames:
                # Refused at its first frame: nothing is held against it.
                self._database.execute("DELETE FROM recordings WHERE id = ?", (there.id,))
                there = None
            if there is None:
                self._database.execute("INSERT OR IGNORE INTO cameras (name) VALUES (?)", (recording.camera,))
                self._database.execute(
                    "INSERT INTO recordings (camera_id, name, fingerprint, settings) VALUES (?, ?, ?, ?)",
                    (self._camera(recording.camera), recording.name, recording.fingerprint,
                     json.dumps(dict(recording.settings), sort_keys=True)),
                )  # fmt: skip
                return Recording(**{**vars(recording), "id": self._database.last_insert_rowid()})
        if there.camera != recording.camera:
            raise StoreError(
                f"{recording.name}: is in the store already, as camera {there.camera!r}: a recording is of one camera"
            )
        if not there.is_done and dict(there.settings) != dict(recording.settings):
            changed = [k for k, v in recording.settings.items() if there.settings.get(k) != v] or sorted(there.settings)
            key = changed[0]
            raise StoreError(
                f"{recording.name}: was begun with {key} = {there.settings.get(key)!r}, not "
                f"{recording.settings.get(key)!r}: finish it with the same"
            )
        return there

    def add(self, recording: int, sightings: Sequence[Sighting], progress: Progress) -> list[int]:
        """See `GalleryStore`; a `StoreError` where another recording of the camera overlaps it in time."""
        with store_errors(self.path), immediate(self._database):
            self._note(recording, progress)
            return [self._add_one(recording, sighting) for sighting in sightings]

    def end(self, recording: int, progress: Progress) -> None:
        """See `GalleryStore`."""
        with store_errors(self.path), immediate(self._database):
            self._note(recording, progress)
            self._database.execute("UPDATE recordings SET is_done = 1 WHERE id = ?", (recording,))

    def _note(self, recording: int, progress: Progress) -> None:
        """The progress; that of a recording which is taken in anew does not fall behind what is there."""
        if progress.start_ns is not None:
            other = self._rows(
                "SELECT o.name, o.start_ns, o.end_ns, c.name FROM recordings r JOIN recordings o "
                "ON o.camera_id = r.camera_id AND o.id != r.id JOIN cameras c ON c.id = r.camera_id "
                "WHERE r.id = ? AND o.start_ns <= ? AND o.end_ns >= ? LIMIT 1",
                (recording, progress.end_ns, progress.start_ns),
            )
            for name, start, end, camera in other:
                raise StoreError(
                    f"camera {camera!r}: {name} has it from {start / 1e9:.3f} s to {end / 1e9:.3f} s, at the same time "
                    "as this recording: two cameras need two names; a wrong clock needs --clock-offset, or --start"
                )
        self._database.execute(
            "UPDATE recordings SET frames = max(frames, ?), start_ns = min(ifnull(start_ns, ?), ?), "
            "end_ns = max(ifnull(end_ns, ?), ?), without_map = max(without_map, ?), dropped = ? "
            "WHERE id = ? AND frames <= ?",
            (progress.frames, progress.start_ns, progress.start_ns, progress.end_ns, progress.end_ns,
             progress.without_map, json.dumps(progress.dropped), recording, progress.frames),
        )  # fmt: skip

    def _add_one(self, recording: int, sighting: Sighting) -> int:
        if len(sighting.crops) > CROPS_A_SIGHTING:
            raise ConfigError(f"a sighting has {len(sighting.crops)} crops; at most {CROPS_A_SIGHTING} are kept")
        database, key = self._database, (recording, sighting.epoch, sighting.track_id, sighting.part)
        there = self._rows(
            "SELECT id FROM sightings WHERE recording_id = ? AND epoch = ? AND track_id = ? AND part = ?", key
        )
        if there:
            return int(there[0][0])
        camera = self._camera(sighting.camera)
        values = sighting_values(sighting, recording, camera)
        database.execute(f"INSERT INTO sightings VALUES (NULL, {', '.join('?' * len(values))}, NULL)", values)
        id = database.last_insert_rowid()
        if len(sighting.path) and sighting.map_frame is not None:
            low, high = sighting.path.positions.min(0), sighting.path.positions.max(0)
            limits = [float(v) for pair in zip(low, high, strict=True) for v in pair]
            database.execute("INSERT INTO places VALUES (?, ?, ?, ?, ?, ?, ?)", (id, *limits))
        for event in sighting.events:
            database.execute(
                "INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                (id, event.kind.value, event.onset_ns, event.end_ns, float(event.confidence), event.note),
            )
        for crop in sighting.crops:
            box = [float(v) for v in crop.box]
            database.execute(
                "INSERT INTO crops VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (id, crop.stamp_ns, crop.image, *box, crop.area, float(crop.sharpness)),
            )
            if crop.embedding is not None:
                vector = np.ascontiguousarray(crop.embedding, "<f4").tobytes()
                database.execute(
                    "INSERT INTO vectors (crop_id, camera_id, embedding, start_ns, end_ns) VALUES (?, ?, ?, ?, ?)",
                    (database.last_insert_rowid(), camera, vector, sighting.start_ns, sighting.end_ns),
                )
        return id

    def place_camera(self, camera: str, map_frame: str, pose: Float, stamp_ns: int) -> None:
        """See `GalleryStore`."""
        with store_errors(self.path), immediate(self._database):
            self._database.execute(
                "UPDATE cameras SET map_frame = ?, pose = ?, placed_ns = ? "
                "WHERE name = ? AND ifnull(placed_ns, ?) <= ?",
                (map_frame, pack_pose(pose), stamp_ns, camera, stamp_ns, stamp_ns),
            )

    def link(self, identities: Mapping[int, int], proposals: Sequence[Proposal]) -> None:
        """See `GalleryStore`."""
        with store_errors(self.path), immediate(self._database):
            self._database.executemany(
                "UPDATE sightings SET identity = ?1 WHERE id = ?2 AND identity IS NOT ?1",
                [(identity, sighting) for sighting, identity in identities.items()],
            )
            last = max([self.last_identity, *identities.values()])
            self._database.execute("INSERT OR REPLACE INTO meta VALUES ('last_identity', ?)", (str(last),))
            self._database.execute("DELETE FROM proposals")
            self._database.executemany(
                "INSERT INTO proposals VALUES (?, ?, ?, ?)", [(p.a, p.b, p.score, p.reason) for p in proposals]
            )

    def decide(self, decisions: Sequence[Decision], instead_of: Iterable[tuple[int, int]] = ()) -> None:
        """See `GalleryStore`."""
        with store_errors(self.path), immediate(self._database):
            pairs = {frozenset(pair) for pair in [*instead_of, *((d.a, d.b) for d in decisions)]}
            self._database.executemany(
                "UPDATE decisions SET is_superseded = 1 WHERE min(a, b) = ? AND max(a, b) = ?",
                [(min(pair), max(pair)) for pair in pairs],
            )
            self._database.executemany(
                "INSERT INTO decisions (kind, a, b, at_ns, decided_by) VALUES (?, ?, ?, ?, ?)",
                [(d.kind, d.a, d.b, d.at_ns or time.time_ns(), d.by) for d in decisions],
            )

    def remove(self, before_ns: int | None = None, max_bytes: int | None = None) -> int:
        """See `GalleryStore`; the decisions on what goes pass to what is left of its identity."""
        removed = 0
        if before_ns is not None:
            while ids := self._ids("WHERE end_ns < ? ORDER BY end_ns, id", before_ns):
                removed += self._remove(ids)
        while max_bytes is not None and self.size > max_bytes and (ids := self._ids("ORDER BY end_ns, id")):
            removed += self._remove(ids)
        if removed:
            with store_errors(self.path):
                self._database.execute("PRAGMA incremental_vacuum").fetchall()
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return removed

    def forget(self, recording: int) -> int:
        """See `GalleryStore`; the decisions on what goes pass to what is left of its identity."""
        removed = 0
        while ids := self._ids("WHERE recording_id = ? ORDER BY id", recording):
            removed += self._remove(ids)
        with store_errors(self.path), immediate(self._database):
            self._database.execute("DELETE FROM recordings WHERE id = ?", (recording,))
        return removed

    def _ids(self, condition: str, *values: Any) -> list[int]:
        return [i for (i,) in self._rows(f"SELECT id FROM sightings {condition} LIMIT {REMOVED_AT_ONCE}", values)]

    def _remove(self, ids: list[int]) -> int:
        with store_errors(self.path), immediate(self._database):
            hand_over(self._database, ids)
            has_vectors = self.embedding is not None
            for id in ids:
                if has_vectors:
                    crops = self._rows("SELECT id FROM crops WHERE sighting_id = ?", (id,))
                    self._database.executemany("DELETE FROM vectors WHERE crop_id = ?", crops)
                self._database.execute("DELETE FROM proposals WHERE a = ?1 OR b = ?1", (id,))
                self._database.execute("DELETE FROM places WHERE id = ?", (id,))
                self._database.execute("DELETE FROM sightings WHERE id = ?", (id,))
        return len(ids)

    def _camera(self, name: str) -> int:
        return int(self._rows("SELECT id FROM cameras WHERE name = ?", (name,))[0][0])
