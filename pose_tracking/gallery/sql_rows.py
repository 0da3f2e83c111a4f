"""Sightings and filters as tables hold and are asked for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform, quaternion_xyzw, rotation_from_quaternion_xyzw

from .filters import Filter
from .sighting import Path, Sighting, StoredSighting
from .sql_database import SqlDatabase

# Of a symmetric matrix the upper triangle.
_UPPER = np.triu_indices(6)
POINT = np.dtype([("stamp", "<i8"), ("position", "<f8", 3), ("quaternion", "<f4", 4), ("covariance", "<f4", 21)])

COLUMNS = (
    "s.id, s.recording_id, c.name, s.epoch, s.track_id, s.part, s.obj_id, s.class_name, s.start_ns, s.end_ns, "
    "s.map_frame, s.path, s.size_x, s.size_y, s.size_z, s.score, s.pose_confidence, s.frames, s.identity"
)
# Of the table, in the order of `sighting_values`.
SIGHTING_COLUMNS = (
    "recording_id, camera_id, epoch, track_id, part, obj_id, class_name, start_ns, end_ns, map_frame, path, "
    "size_x, size_y, size_z, score, pose_confidence, frames"
)
FROM = "sightings s JOIN cameras c ON c.id = s.camera_id"


def pack_path(path: Path) -> bytes:
    """A path as bytes, 132 a point."""
    points = np.zeros(len(path), POINT)
    if len(path):
        points["stamp"], points["position"] = path.stamps_ns, path.positions
        points["quaternion"] = quaternion_xyzw(path.poses[:, :3, :3])
        points["covariance"] = path.covariances[:, _UPPER[0], _UPPER[1]]
    return points.tobytes()


def unpack_path(data: bytes) -> Path:
    """The path that `pack_path` has packed."""
    points = np.frombuffer(data, POINT)
    if not len(points):
        return Path.empty()
    covariances = np.zeros((len(points), 6, 6))
    covariances[:, _UPPER[0], _UPPER[1]] = points["covariance"]
    covariances[:, _UPPER[1], _UPPER[0]] = points["covariance"]
    rotations = rotation_from_quaternion_xyzw(points["quaternion"])
    return Path(points["stamp"].copy(), make_transform(rotations, points["position"]), covariances)


def pack_pose(pose: Float) -> bytes:
    """(4, 4) as bytes."""
    return np.ascontiguousarray(pose, "<f8").tobytes()


def unpack_pose(data: bytes | None) -> Float | None:
    """What `pack_pose` has packed."""
    return None if data is None else np.frombuffer(data, "<f8").reshape(4, 4).astype(float)


def sighting_values(sighting: Sighting, recording: int, camera: int) -> tuple[Any, ...]:
    """Values of `SIGHTING_COLUMNS`."""
    return (
        recording, camera, sighting.epoch, sighting.track_id, sighting.part, sighting.obj_id, sighting.class_name,
        sighting.start_ns, sighting.end_ns, sighting.map_frame, pack_path(sighting.path),
        *(float(v) for v in sighting.size), float(sighting.score), float(sighting.pose_confidence), sighting.frames,
    )  # fmt: skip


def read_sighting(row: tuple[Any, ...]) -> StoredSighting:
    """The sighting of a row of `COLUMNS`."""
    (id, recording, camera, epoch, track, part, obj_id, name, start, end, map_frame, path, *size, score, confidence,
     frames, identity) = row  # fmt: skip
    return StoredSighting(
        camera, epoch, track, part, obj_id, name, start, end, map_frame, unpack_path(path), np.array(size, float),
        score, confidence, frames, id=id, source=recording, identity=identity,
    )  # fmt: skip


def where_clause(where: Filter, database: SqlDatabase) -> tuple[str, list[Any]]:
    """SQL condition on `FROM`, and its values: nothing that a user wrote becomes part of the text."""
    where.check()
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *given: Any) -> None:
        conditions.append(condition)
        values.extend(given)

    def among(column: str, given: tuple[Any, ...]) -> None:
        # Of no value at all nothing is one.
        add(f"{column} IN ({', '.join('?' * len(given)) or 'NULL'})", *given)

    if where.cameras:
        among("c.name", where.cameras)
    if where.classes:
        among("s.class_name", where.classes)
    if where.events:
        kinds = ", ".join("?" * len(where.events))
        add(f"s.id IN (SELECT sighting_id FROM events WHERE kind IN ({kinds}))", *where.events)
    if where.text:
        # LIKE would have wildcards.
        add("replace(lower(s.class_name), lower(?), '') <> lower(s.class_name)", where.text)
    if where.after_ns is not None:
        add("s.end_ns >= ?", where.after_ns)
    if where.before_ns is not None:
        add("s.start_ns <= ?", where.before_ns)
    if where.map_frame is not None:
        add("s.map_frame = ?", where.map_frame)
    if where.identity is not None:
        add("s.identity = ?", where.identity)
    if where.source is not None:
        add("s.recording_id = ?", where.source)
    if where.ids is not None:
        among("s.id", where.ids)
    if where.near is not None:
        condition, given = database.near(where.near)
        add(f"s.map_frame IS NOT NULL AND {condition}", *given)
    return " AND ".join(conditions) or "1 = 1", values


def vector_condition(where: Filter, database: SqlDatabase) -> tuple[str, list[Any]]:
    """SQL condition on the table of embeddings but for the cameras, and its values.

    Times are asked of the table itself, which reads a fraction of it then; the rest goes by way of the sightings.
    """
    where.check()
    condition = ""
    values: list[Any] = []
    if where.after_ns is not None:
        condition, values = condition + " AND end_ns >= ?", [*values, where.after_ns]
    if where.before_ns is not None:
        condition, values = condition + " AND start_ns <= ?", [*values, where.before_ns]
    if replace(where, cameras=(), after_ns=None, before_ns=None) != Filter():
        chosen, more = where_clause(where, database)
        condition += f" AND crop_id IN (SELECT k.id FROM {FROM} JOIN crops k ON k.sighting_id = s.id WHERE {chosen})"
        values = [*values, *more]
    return condition, values
