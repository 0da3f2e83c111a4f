"""The colours that models have where their things are seen: what crops are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, UInt8, even_indices
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster

from .color_transform import PARAMETERS, ColorSamples, color_transform

MOST_SAMPLES, LEAST_SAMPLES = 400, 30
_FLAT = 12  # of 255: where the model's own colours change by more, a pixel may be of either side of the edge
_DARK, _SATURATED = 40.0, 250.0


@dataclass(frozen=True, eq=False)
class CopyColors:
    """How a copy differs from its model in colour: name of the class, and (4,) the parameters of `color_transform`."""

    class_name: str
    transform: Float

    @classmethod
    def of(cls, class_name: str, samples: ColorSamples | None) -> CopyColors:
        """The most probable; the model's own where nothing was seen of it."""
        return cls(class_name, np.zeros(PARAMETERS) if samples is None else color_transform(samples))


class ModelColors:
    """Samples views of objects whose meshes have colour.

    Args:
        objects: the known objects.
    """

    def __init__(self, objects: ObjectSet) -> None:
        self._objects = objects
        self._casters: dict[int, MeshRaycaster] = {}

    @staticmethod
    def are_known(objects: ObjectSet) -> bool:
        """Whether any mesh has colour."""
        return any(model.mesh is not None and model.mesh.colored for model in objects.values())

    def sample(self, frame: RGBDFrame, thing: TrackedObject) -> ColorSamples | None:
        """Pixels of a thing seen in a frame; None where its pose, mask or mesh's colour is unknown, or too few."""
        model = self._objects.get(thing.obj_id)
        if model is None or model.mesh is None or not model.mesh.colored or thing.pose is None or thing.mask is None:
            return None
        if thing.obj_id not in self._casters:
            self._casters[thing.obj_id] = MeshRaycaster(model.mesh)
        pose = thing.pose
        if thing.is_scaled:  # one twice as large looks like one half as far away
            pose = pose.copy()
            pose[:3, 3] /= float(np.mean(thing.size / model.size))
        return sample_colors(self._casters[thing.obj_id], frame.intrinsics, pose, frame.color, thing.mask)


def sample_colors(
    caster: MeshRaycaster, intrinsics: CameraIntrinsics, pose: Float, color: UInt8, mask: Bool
) -> ColorSamples | None:
    """Pixels of a mask where the posed mesh says what colour the model has; None where there are too few.

    Args:
        caster: of the mesh.
        intrinsics: of the frame.
        pose: (4, 4) ``T_camera_object``, of the mesh as large as it is.
        color: (H, W, 3) RGB.
        mask: (H, W) where the thing is seen.
    """
    x0, y0, x1, y1 = region = caster.region(pose, intrinsics)
    if x1 - x0 < 3 or y1 - y0 < 3:
        return None
    rows, cols, hits = caster.cast_grid(pose, intrinsics, region)
    colors = caster.colors(hits)
    kernel = np.ones((3, 3), np.uint8)
    # Not at the outline, where the background begins, nor where one colour of the model ends.
    inner = cv2.erode(mask[y0:y1, x0:x1].astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    drawn = np.zeros((y1 - y0, x1 - x0, 3), np.float32)
    drawn[rows - y0, cols - x0] = colors
    change = cv2.dilate(drawn, kernel) - cv2.erode(np.where(inner[..., None], drawn, np.float32(255)), kernel)
    observed = color[rows, cols].astype(np.float32)
    good = inner[rows - y0, cols - x0] & (change[rows - y0, cols - x0].max(1) < _FLAT)
    good &= (observed.max(1) < _SATURATED) & (np.linalg.norm(observed, axis=1) > _DARK)
    chosen = np.flatnonzero(good)
    if len(chosen) < LEAST_SAMPLES:
        return None
    chosen = chosen[even_indices(len(chosen), MOST_SAMPLES)]
    return ColorSamples(observed[chosen], colors[chosen].astype(np.float32))
