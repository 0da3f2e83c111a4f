"""RViz markers of the tracked objects: mesh or box, axes, label and trail."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pose_tracking.core.events import Activity
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import UNIT_SCALE
from pose_tracking.visualization.colors import color_of

from .conversions import fill_pose

NAMESPACES = ("mesh", "axes", "label", "trail")
_AXIS_COLORS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.4, 1.0))


class MarkerBuilder:
    """Builds the MarkerArray of each frame and takes vanished tracks out of the display.

    Args:
        objects: the object set; its meshes are shown by file name, so RViz must see the same file system.
        trail_length: positions kept per track.
    """

    def __init__(self, objects: ObjectSet, trail_length: int) -> None:
        self._objects = objects
        self._trail_length = trail_length
        self._trails: dict[int, deque[Point]] = {}
        self._trail_frame = ""

    def clear(self, header: Header) -> MarkerArray:
        """Take everything out of the display and forget the trails."""
        self._trails.clear()
        return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])

    def build(self, header: Header, tracked: Sequence[TrackedObject]) -> MarkerArray:
        """Markers of the confirmed tracks that have a pose; poses are in the frame of `header`."""
        array = MarkerArray()
        for vanished in self.follow(header, tracked):
            array.markers += [Marker(header=header, ns=ns, id=vanished, action=Marker.DELETE) for ns in NAMESPACES]
        for thing in _shown(tracked):
            trail = self._trails[thing.track_id]
            array.markers += [self._body(header, thing), self._axes(header, thing), self._label(header, thing)]
            if self._trail_length > 1 and len(trail) > 1:
                array.markers.append(self._trail(header, thing, trail))
        return array

    def follow(self, header: Header, tracked: Sequence[TrackedObject]) -> list[int]:
        """Lengthen the trails, as `build` does, for a frame that nobody wants to see; returns what tracks have gone."""
        if header.frame_id != self._trail_frame:  # positions of another frame mean nothing in this one
            for trail in self._trails.values():
                trail.clear()
            self._trail_frame = header.frame_id
        shown = _shown(tracked)
        gone = sorted(set(self._trails) - {t.track_id for t in shown})
        for vanished in gone:
            del self._trails[vanished]
        for thing in shown:
            trail = self._trails.setdefault(thing.track_id, deque(maxlen=max(self._trail_length, 1)))
            assert thing.pose is not None
            trail.append(_point(thing.pose[:3, 3]))
        return gone

    def _body(self, header: Header, thing: TrackedObject) -> Marker:
        marker = _marker(header, "mesh", thing, Marker.CUBE)
        model = self._objects.get(thing.obj_id)
        marker.color = _color(thing, 0.35 if thing.state == TrackState.COASTING else 0.8)
        pose = np.asarray(thing.pose)
        if model is not None and model.mesh_path is not None:
            marker.type = Marker.MESH_RESOURCE
            marker.mesh_resource = model.mesh_path.resolve().as_uri()
            scales = UNIT_SCALE[model.unit] * np.asarray(thing.size) / model.size
            marker.scale.x, marker.scale.y, marker.scale.z = (float(v) for v in scales)
        else:
            marker.scale.x, marker.scale.y, marker.scale.z = (float(v) for v in thing.size)
            if model is not None and model.has_shape:  # the origin of a measured box is its middle
                pose = pose @ make_transform(np.eye(3), model.box_min + model.size / 2)
        fill_pose(marker.pose, pose)
        return marker

    def _axes(self, header: Header, thing: TrackedObject) -> Marker:
        marker = _marker(header, "axes", thing, Marker.LINE_LIST)
        fill_pose(marker.pose, np.asarray(thing.pose))
        marker.scale.x = 0.003
        length = float(np.linalg.norm(thing.size)) / 2
        for axis, (red, green, blue) in enumerate(_AXIS_COLORS):
            marker.points += [Point(), _point(np.eye(3)[axis] * length)]
            marker.colors += [ColorRGBA(r=red, g=green, b=blue, a=1.0)] * 2
        return marker

    def _label(self, header: Header, thing: TrackedObject) -> Marker:
        marker = _marker(header, "label", thing, Marker.TEXT_VIEW_FACING)
        assert thing.pose is not None
        above = thing.pose[:3, 3] - np.array([0.0, np.linalg.norm(thing.size) * 0.6, 0.0])
        marker.pose.position = _point(above)
        marker.scale.z = 0.025
        marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        marker.text = f"{thing.class_name} {thing.track_id} ({thing.pose_confidence:.2f})"
        if thing.activity not in (Activity.UNKNOWN, Activity.STILL):
            marker.text += f" {thing.activity.name.lower()}"
        return marker

    def _trail(self, header: Header, thing: TrackedObject, trail: deque[Point]) -> Marker:
        marker = _marker(header, "trail", thing, Marker.LINE_STRIP)
        marker.scale.x = 0.002
        marker.color = _color(thing, 0.9)
        marker.points = list(trail)
        return marker


def _shown(tracked: Sequence[TrackedObject]) -> list[TrackedObject]:
    return [t for t in tracked if t.is_confirmed and t.pose is not None and np.isfinite(t.size).all()]


def _marker(header: Header, namespace: str, thing: TrackedObject, kind: int) -> Marker:
    marker = Marker(header=header, ns=namespace, id=thing.track_id, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    # Gone after two seconds without news: a node that died leaves no ghosts behind.
    marker.lifetime = Duration(sec=2, nanosec=0)
    return marker


def _point(xyz: np.ndarray) -> Point:
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def _color(thing: TrackedObject, alpha: float) -> ColorRGBA:
    red, green, blue = (channel / 255 for channel in color_of(thing.track_id))  # as in the annotated image
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
