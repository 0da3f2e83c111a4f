"""Writing a gallery in tables, in the SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError, OverlapError, RecordingError

from .live import LiveCamera
from .sighting import Sighting, check_camera_name
from .sql_decisions import hand_over
from .sql_live import write_live
from .sql_reader import SqlReader
from .sql_rows import SIGHTING_COLUMNS, pack_pose, sighting_values
from .store import CROPS_A_SIGHTING, Decision, EmbeddingKind, Progress, Proposal, Recording

REMOVED_AT_ONCE = 200


class SqlStore(SqlReader):
    """`GalleryStore` in a data base: what a method has returned from is committed.

    Args:
        database: an open one, which is closed with the store.
    """

    def use_embedding(self, kind: EmbeddingKind) -> None:
        """See `GalleryStore`."""
        with self._database.transaction():
            there = self.embedding
            if there is None:
                self._database.make_vectors(kind.dimensions)
                self._rows("INSERT INTO meta VALUES ('embedding', ?)", (json.dumps(vars(kind)),))
                return
        there.check_same(kind, self.name)

    def begin(self, recording: Recording) -> Recording:
        """See `GalleryStore`."""
        check_camera_name(recording.camera)
        with self._database.transaction():
            there = next((r for r in self.recordings() if r.fingerprint == recording.fingerprint), None)
            if there is not None and not there.progress.frames:
                # Refused at its first frame: nothing is held against it.
                self._rows("DELETE FROM recordings WHERE id = ?", (there.id,))
                there = None
            if there is None:
                self._rows("INSERT INTO cameras (name) VALUES (?) ON CONFLICT DO NOTHING", (recording.camera,))
                number = self._insert(
                    "recordings (camera_id, name, fingerprint, settings)",
                    (self._camera(recording.camera), recording.name, recording.fingerprint,
                     json.dumps(dict(recording.settings), sort_keys=True)),
                )  # fmt: skip
                return Recording(**{**vars(recording), "id": number})
        if there.camera != recording.camera:
            raise RecordingError(
                f"{recording.name}: is in the store already, as camera {there.camera!r}: a recording is of one camera"
            )
        if not there.is_done and dict(there.settings) != dict(recording.settings):
            changed = [k for k, v in recording.settings.items() if there.settings.get(k) != v] or sorted(there.settings)
            key = changed[0]
            raise RecordingError(
                f"{recording.name}: was begun with {key} = {there.settings.get(key)!r}, not "
                f"{recording.settings.get(key)!r}: finish it with the same"
            )
        return there

    def add(self, recording: int, sightings: Sequence[Sighting], progress: Progress) -> list[int]:
        """See `GalleryStore`; an `OverlapError` where another recording of the camera overlaps it in time."""
        with self._database.transaction():
            self._note(recording, progress)
            return [self._add_one(recording, sighting) for sighting in sightings]

    def end(self, recording: int, progress: Progress) -> None:
        """See `GalleryStore`."""
        with self._database.transaction():
            self._note(recording, progress)
            self._rows("UPDATE recordings SET is_done = 1 WHERE id = ?", (recording,))

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
                raise OverlapError(
                    f"camera {camera!r}: {name} has it from {start / 1e9:.3f} s to {end / 1e9:.3f} s, at the same time "
                    "as this recording: two cameras need two names; a wrong clock needs --clock-offset, or --start"
                )
        self._rows(
            "UPDATE recordings SET frames = ?, start_ns = CASE WHEN start_ns < ? THEN start_ns ELSE ? END, "
            "end_ns = CASE WHEN end_ns > ? THEN end_ns ELSE ? END, "
            "without_map = CASE WHEN without_map > ? THEN without_map ELSE ? END, dropped = ? "
            "WHERE id = ? AND frames <= ?",
            (progress.frames, progress.start_ns, progress.start_ns, progress.end_ns, progress.end_ns,
             progress.without_map, progress.without_map, json.dumps(progress.dropped), recording, progress.frames),
        )  # fmt: skip

    def _add_one(self, recording: int, sighting: Sighting) -> int:
        if len(sighting.crops) > CROPS_A_SIGHTING:
            raise ConfigError(f"a sighting has {len(sighting.crops)} crops; at most {CROPS_A_SIGHTING} are kept")
        key = (recording, sighting.epoch, sighting.track_id, sighting.part)
        there = self._rows(
            "SELECT id FROM sightings WHERE recording_id = ? AND epoch = ? AND track_id = ? AND part = ?", key
        )
        if there:
            return int(there[0][0])
        camera = self._camera(sighting.camera)
        id = self._insert(f"sightings ({SIGHTING_COLUMNS})", sighting_values(sighting, recording, camera))
        if len(sighting.path) and sighting.map_frame is not None:
            self._database.add_place(id, sighting.path)
        for event in sighting.events:
            self._insert(
                "events (sighting_id, kind, onset_ns, end_ns, confidence, note)",
                (id, event.kind.value, event.onset_ns, event.end_ns, float(event.confidence), event.note),
            )
        for crop in sighting.crops:
            box = [float(v) for v in crop.box]
            number = self._insert(
                "crops (sighting_id, stamp_ns, image, x_min, y_min, x_max, y_max, area, sharpness)",
                (id, crop.stamp_ns, crop.image, *box, crop.area, float(crop.sharpness)),
            )
            if crop.embedding is not None:
                self._database.add_vector(number, camera, sighting.start_ns, sighting.end_ns, crop.embedding)
        return id

    def _insert(self, table: str, values: Sequence[Any]) -> int:
        """Insert a row; its number."""
        sql = f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))}) RETURNING id"
        return int(self._rows(sql, values)[0][0])

    def place_camera(self, camera: str, map_frame: str, pose: Float, stamp_ns: int) -> None:
        """See `GalleryStore`."""
        with self._database.transaction():
            self._rows(
                "UPDATE cameras SET map_frame = ?, pose = ?, placed_ns = ? "
                "WHERE name = ? AND coalesce(placed_ns, ?) <= ?",
                (map_frame, pack_pose(pose), stamp_ns, camera, stamp_ns, stamp_ns),
            )

    def write_live(self, live: LiveCamera) -> None:
        """See `GalleryStore`."""
        write_live(self._database, live)

    def link(self, identities: Mapping[int, int], proposals: Sequence[Proposal]) -> None:
        """See `GalleryStore`."""
        with self._database.transaction():
            self._database.many(
                "UPDATE sightings SET identity = ? WHERE id = ? AND identity IS DISTINCT FROM ?",
                [(identity, sighting, identity) for sighting, identity in identities.items()],
            )
            last = max([self.last_identity, *identities.values()])
            self._rows(
                "INSERT INTO meta VALUES ('last_identity', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (str(last),),
            )
            self._rows("DELETE FROM proposals")
            self._database.many(
                "INSERT INTO proposals VALUES (?, ?, ?, ?)", [(p.a, p.b, p.score, p.reason) for p in proposals]
            )

    def decide(self, decisions: Sequence[Decision], instead_of: Iterable[tuple[int, int]] = ()) -> None:
        """See `GalleryStore`."""
        with self._database.transaction():
            pairs = {(min(pair), max(pair)) for pair in [*instead_of, *((d.a, d.b) for d in decisions)]}
            self._database.many(
                "UPDATE decisions SET is_superseded = 1 WHERE (a = ? AND b = ?) OR (a = ? AND b = ?)",
                [(a, b, b, a) for a, b in sorted(pairs)],
            )
            self._database.many(
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
            self._database.compact()
        return removed

    def forget(self, recording: int) -> int:
        """See `GalleryStore`; the decisions on what goes pass to what is left of its identity."""
        removed = 0
        while ids := self._ids("WHERE recording_id = ? ORDER BY id", recording):
            removed += self._remove(ids)
        with self._database.transaction():
            self._rows("DELETE FROM recordings WHERE id = ?", (recording,))
        return removed

    def _ids(self, condition: str, *values: Any) -> list[int]:
        return [i for (i,) in self._rows(f"SELECT id FROM sightings {condition} LIMIT {REMOVED_AT_ONCE}", values)]

    def _remove(self, ids: list[int]) -> int:
        with self._database.transaction():
            hand_over(self._database, ids)
            has_vectors = self.embedding is not None
            for id in ids:
                if has_vectors:
                    crops = self._rows("SELECT id FROM crops WHERE sighting_id = ?", (id,))
                    self._database.many("DELETE FROM vectors WHERE crop_id = ?", crops)
                self._rows("DELETE FROM proposals WHERE ? IN (a, b)", (id,))
                self._rows("DELETE FROM places WHERE id = ?", (id,))
                self._rows("DELETE FROM sightings WHERE id = ?", (id,))
        return len(ids)

    def _camera(self, name: str) -> int:
        return int(self._rows("SELECT id FROM cameras WHERE name = ?", (name,))[0][0])
