"""The parameters of the gallery node as data. Knows no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.camera_place import CameraPlace, read_camera_place
from pose_tracking.gallery.collector import CollectorConfig
from pose_tracking.gallery.live_writer import LiveStoreConfig
from pose_tracking.gallery.sighting import check_camera_name
from pose_tracking.ros.node.parameters import READ_ONLY, Parameter

TRACKER = "tracker"


def _options(config: Any, names: Sequence[str]) -> tuple[Parameter, ...]:
    """Parameters out of the options of a config."""
    out = []
    for field in fields(config):
        if field.name in names:
            about = field.metadata
            out.append(
                Parameter(
                    field.name, field.default, about["help"], READ_ONLY, unit=about.get("unit") or "",
                    range=about.get("range"),
                )
            )  # fmt: skip
    return tuple(out)


GALLERY_PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("store", "gallery.db", "file of the gallery or postgresql://..; made where there is none", READ_ONLY),
        Parameter(
            "model",
            "demo",
            "bundle that the trackers run: noted with what they see, so that it is known who describes a picture that "
            "is searched for",
            READ_ONLY,
        ),
        Parameter(
            "cameras",
            (),
            "cameras to listen to: NAME for the tracker node /NAME/tracker, or NAME=NODE; empty: every tracker that "
            "comes up, by the type of its messages, named after its namespace",
            READ_ONLY,
        ),
        Parameter(
            "map_frame", "map", "frame that does not move, which TF leads to; empty: no TF is listened to", READ_ONLY
        ),
        Parameter(
            "camera_poses",
            (),
            "where cameras stand that do not move: NAME=FILE, as of gallery ingest --camera-pose; goes before TF",
            READ_ONLY,
        ),
        Parameter("tf_timeout", 0.2, "how long a message waits for its transform", READ_ONLY, "s", range=(0.0, 5.0)),
        Parameter(
            "silence_warning",
            3.0,
            "silence of a camera after which a warning names it and what it saw goes to the disk",
            READ_ONLY,
            "s",
            range=(0.1, 3600.0),
        ),
        Parameter(
            "live_period", 0.5, "what each camera shows now is written so often; 0: never", READ_ONLY, "s",
            range=(0.0, 3600.0),
        ),
        *_options(CollectorConfig, ("crops", "longest", "gone_after")),
        *_options(LiveStoreConfig, ("link_every", "retention_days", "retention_megabytes", "pending")),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A tracker node that is listened to: the camera's name, and the node's name with its namespace."""

    camera: str
    node: str

    @property
    def objects(self) -> str:
        """Topic of its tracks."""
        return f"{self.node}/objects"


def sources_of(entries: Sequence[str]) -> list[Source]:
    """The cameras of parameter ``cameras``.

    Raises:
        ConfigError: an entry is none, or two have one name or one node.
    """
    out: list[Source] = []
    for entry in entries:
        name, _, node = entry.partition("=")
        name = check_camera_name(name.strip())
        node = node.strip() or f"/{name}/{TRACKER}"
        if not node.startswith("/") or " " in node or node.endswith("/"):
            raise ConfigError(f"parameter cameras: {entry!r}: name the tracker node as /NAMESPACE/{TRACKER}")
        for other in out:
            if name == other.camera:
                raise ConfigError(f"parameter cameras: two cameras are called {name!r}: two cameras need two names")
            if node == other.node:
                raise ConfigError(f"parameter cameras: {node} is named twice, as {other.camera!r} and as {name!r}")
        out.append(Source(name, node))
    return out


def source_of_topic(topic: str) -> Source | None:
    """The camera that a topic of tracks, ``<namespace>/tracker/objects``, is of: called after the namespace.

    Raises:
        ConfigError: that cannot be the name of a camera.
    """
    node, _, name = topic.rpartition("/")
    if name != "objects" or not node:
        return None
    space, _, own = node.rpartition("/")
    camera = (space if own == TRACKER and space else node).strip("/").replace("/", ".")
    return Source(check_camera_name(camera), node)


def places_of(entries: Sequence[str]) -> dict[str, CameraPlace]:
    """The places of parameter ``camera_poses`` by camera.

    Raises:
        ConfigError: an entry is none, or its file has no pose.
    """
    out: dict[str, CameraPlace] = {}
    for entry in entries:
        name, equals, path = entry.partition("=")
        name = check_camera_name(name.strip())
        if not equals or not path:
            raise ConfigError(f"parameter camera_poses: {entry!r}: expected NAME=FILE")
        if name in out:
            raise ConfigError(f"parameter camera_poses: camera {name!r} stands at two places")
        out[name] = read_camera_place(Path(path))
    return out
