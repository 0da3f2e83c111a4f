"""What cameras show now, for the pages that draw it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pose_tracking.core.arrays import Float
from pose_tracking.gallery.live import LiveCamera
from pose_tracking.gallery.store import CameraEntry, GalleryReader

SILENT_SECONDS = 5.0


@dataclass(frozen=True, eq=False)
class CameraState:
    """A camera as the page has it: what it saw, and what it shows now, if it ever was live."""

    entry: CameraEntry
    live: LiveCamera | None
    is_live: bool
    silent_seconds: float | None

    @property
    def position(self) -> Float | None:
        """(3,) in its map, metres; None where it is not known."""
        return None if self.entry.pose is None else self.entry.pose[:3, 3]


def camera_states(store: GalleryReader, now_ns: int | None = None) -> list[CameraState]:
    """Every camera of a gallery, by name; those without a sighting yet, too."""
    now = time.time_ns() if now_ns is None else now_ns
    entries = {c.name: c for c in store.cameras()}
    live = {c.camera: c for c in store.live_cameras()}
    for name, shown in live.items():
        entries.setdefault(name, CameraEntry(name, shown.map_frame, shown.pose, 0, None, None))
    states = []
    for name, entry in sorted(entries.items()):
        shown_now = live.get(name)
        # A clock of another machine may be ahead of ours.
        silent = None if shown_now is None else max(0.0, (now - shown_now.received_ns) / 1e9)
        states.append(CameraState(entry, shown_now, silent is not None and silent <= SILENT_SECONDS, silent))
    return states


def scene(store: GalleryReader, now_ns: int | None = None) -> dict[str, Any]:
    """The scene as JSON: cameras with their poses, and the objects of those that are live; metres, row-major."""
    return {"silent_seconds": SILENT_SECONDS, "cameras": [_camera(state) for state in camera_states(store, now_ns)]}


def _camera(state: CameraState) -> dict[str, Any]:
    live, entry = state.live, state.entry
    pose, frame = entry.pose, entry.map_frame
    if live is not None and live.pose is not None:
        pose, frame = live.pose, live.map_frame
    objects = live.objects if live is not None and state.is_live else ()
    return {
        "camera": entry.name,
        "is_live": state.is_live,
        "silent_seconds": None if state.silent_seconds is None else round(state.silent_seconds, 2),
        "rate_hz": None if live is None else round(live.rate_hz, 2),
        "stamp_s": None if live is None else live.stamp_ns / 1e9,
        "map": frame,
        "pose": None if pose is None else pose.round(5).tolist(),
        "has_picture": live is not None and live.picture is not None,
        "objects": [
            {
                "class": o.class_name,
                "track": o.track_id,
                "confidence": round(o.confidence, 3),
                "pose": None if o.pose is None else o.pose.round(5).tolist(),
                "size": None if o.size is None else o.size.round(4).tolist(),
            }
            for o in objects
        ],
    }
