"""What cameras show now, in tables: one row a camera, written over again and again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float

from .live import LiveCamera, LiveObject
from .sighting import check_camera_name
from .sql_database import SqlDatabase
from .sql_rows import pack_pose, unpack_pose

# Made when the first camera is live: a store that has it is no other version for who knows nothing of it.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS live (camera TEXT PRIMARY KEY, stamp_ns {integer} NOT NULL, "
    "received_ns {integer} NOT NULL, rate_hz {real} NOT NULL, map_frame TEXT, pose {bytes}, objects TEXT NOT NULL, "
    "picture {bytes})"
)
_COLUMNS = "camera, stamp_ns, received_ns, rate_hz, map_frame, pose, objects, picture"


def write_live(database: SqlDatabase, live: LiveCamera) -> None:
    """Write over what a camera showed before.

    Raises:
        ConfigError: the name cannot be that of a camera.
    """
    values = (
        check_camera_name(live.camera), live.stamp_ns, live.received_ns, float(live.rate_hz), live.map_frame,
        None if live.pose is None else pack_pose(live.pose), json.dumps([_object_values(o) for o in live.objects]),
        live.picture,
    )  # fmt: skip
    changes = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:])
    # Waiting for the disk several times a second would be for nothing.
    with database.transaction(durable=False):
        if not database.has_table("live"):
            database.rows(database.types.written(_TABLE))
        database.rows(
            f"INSERT INTO live ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            f"ON CONFLICT (camera) DO UPDATE SET {changes}",
            values,
        )


def live_cameras(database: SqlDatabase) -> list[LiveCamera]:
    """What each camera showed last, by name."""
    if not database.has_table("live"):
        return []
    found = database.rows(f"SELECT {_COLUMNS} FROM live")
    cameras = [
        LiveCamera(
            camera, stamp, received, rate, map_frame, unpack_pose(pose),
            tuple(_read_object(values) for values in json.loads(objects)), picture,
        )
        for camera, stamp, received, rate, map_frame, pose, objects, picture in found
    ]  # fmt: skip
    return sorted(cameras, key=lambda live: live.camera)


def _object_values(thing: LiveObject) -> list[Any]:
    pose, size = _numbers(thing.pose), _numbers(thing.size)
    return [thing.class_name, int(thing.track_id), pose, size, float(thing.confidence)]


def _numbers(values: Float | None) -> list[float] | None:
    """Flat, rounded to the micrometre; None where it is not known."""
    if values is None or not np.isfinite(values).all():
        return None
    return [round(float(v), 6) for v in np.ravel(values)]


def _read_object(values: list[Any]) -> LiveObject:
    name, track, pose, size, confidence = values
    pose = None if pose is None else np.array(pose, float).reshape(4, 4)
    return LiveObject(name, track, pose, None if size is None else np.array(size, float), confidence)
