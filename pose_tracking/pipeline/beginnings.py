"""What a track may begin with: a sure pose, or an unsure one that several frames have come to.

A pose that nothing expects is found anew in each frame: where the frames agree on it although none is sure, that is
hardly by chance. The doubts of the frames are multiplied, as of independent witnesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import nearest_equivalent
from pose_tracking.core.results import Detection
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.fitting.depth_tracking_kernels import mean_distance
from pose_tracking.tracking import Association

_SAME = 0.1  # diameters between two poses, mean over the surface, up to which they are one
# Frames with the detector after which what was found once is forgotten: refused ones are not looked at in each.
_FRAMES = 6
_LOOKS = 3  # at what is in one place that are worth while, one soon after the other
_PLACE = 0.5  # diameters that it has
_POINTS = 20  # vertices, about, that tell how far two poses are apart


@dataclass(frozen=True, eq=False)
class _Unsure:
    """A pose that began no track.

    Attributes:
        obj_id, pose: of which object, and (4, 4) in the camera frame.
        doubt: product of the doubts of the frames that have come to it.
        looks: frames that have come to it, or to others in its place.
        frames: since the last of them.
    """

    obj_id: int
    pose: Float
    doubt: float
    looks: int = 1
    frames: int = 0


class Beginnings:
    """Remembers the poses of late that were too unsure to begin a track.

    Attributes:
        needs_look: whether the last frame with the detector has come to such a pose in a place that was not looked at
            often yet: the next look may make sure of it.
    """

    def __init__(self) -> None:
        self._unsure: list[_Unsure] = []
        self.needs_look = False

    def credible(
        self, association: Association, objects: ObjectSet, least: float, repeated: bool = False
    ) -> Association:
        """The detections set apart, as `unsure`, that continue no track and are too unsure to begin one.

        They may continue a track, which says that there is something; alone they are more likely than not of nothing.
        Without meshes nothing has checked the poses.

        Args:
            association: of a frame.
            objects: the known objects.
            least: pose confidence from which a detection begins a track.
            repeated: whether those below begin one, too, whose frames together are as sure.
        """
        new = association.unmatched_detections
        unsure = [d for d in new if d.pose is not None and objects.has_meshes and d.pose.confidence < least]
        self.needs_look = False
        if repeated and association.searched:
            unsure = self._not_found_again(unsure, objects, least)
        if not unsure:
            return association
        believed = [d for d in new if not any(d is each for each in unsure)]
        return replace(association, unmatched_detections=believed, unsure=unsure)

    def _not_found_again(self, unsure: Sequence[Detection], objects: ObjectSet, least: float) -> list[Detection]:
        """Those of `unsure` that the frames before do not make sure of; they are remembered."""
        before = [replace(each, frames=each.frames + 1) for each in self._unsure]
        left: list[Detection] = []
        after: list[_Unsure] = []
        for detection in unsure:
            assert detection.pose is not None
            doubt = 1.0 - detection.pose.confidence
            again = [each for each in before if _is_same(detection, each, objects)]
            before = [each for each in before if each not in again]
            doubt *= min((each.doubt for each in again), default=1.0)
            looks = 1 + max((each.looks for each in self._unsure if _is_near(detection, each, objects)), default=0)
            if not again or 1.0 - doubt < least:
                left.append(detection)
                after.append(_Unsure(detection.obj_id, detection.pose.pose, doubt, looks))
                self.needs_look |= looks < _LOOKS
        self._unsure = [*after, *(each for each in before if each.frames < _FRAMES)]
        return left


def _is_same(detection: Detection, known: _Unsure, objects: ObjectSet) -> bool:
    model = objects[known.obj_id]
    if detection.obj_id != known.obj_id or detection.pose is None or model.mesh is None:
        return False
    points = np.ascontiguousarray(model.mesh.vertices, np.float64)
    pose = np.ascontiguousarray(nearest_equivalent(detection.pose.pose, known.pose, model.symmetries), np.float64)
    other = np.ascontiguousarray(known.pose, np.float64)
    apart = mean_distance(points, max(len(points) // _POINTS, 1), pose, other)
    return apart < _SAME * model.diameter


def _is_near(detection: Detection, known: _Unsure, objects: ObjectSet) -> bool:
    """Whether two unsure poses, however unlike, are of what is in one place."""
    if detection.obj_id != known.obj_id or detection.pose is None:
        return False
    apart = float(np.linalg.norm(detection.pose.pose[:3, 3] - known.pose[:3, 3]))
    return apart < _PLACE * objects[known.obj_id].diameter
