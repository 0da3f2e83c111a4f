"""Point-to-plane ICP of measured points against the side of the model that faces the camera.

Chen and Medioni, "Object modelling by registration of multiple range images", 1992, with Tukey's robust kernel and a
maximum distance that shrinks from stage to stage. Only front-facing surface can have been measured; leaving the rest
out keeps thin objects from being matched with their back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, even_indices
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import IcpConfig

from .icp_kernels import refine_poses
from .point_kernels import points_near_median
from .surface_samples import ObjectSurface

# Points so many standard deviations of the sensor's noise off a surface may be its own.
NOISE_SIGMAS = 3.0
# A stage has converged where no more or fewer points are matched, and their distance changes by less than this (m).
# Looser ones save a tenth of the time, and cost a point of recall.
_SAME_FITNESS, _SAME_RMSE = 1e-5, 8e-6


@dataclass
class IcpPoses:
    """Poses after ICP.

    Attributes:
        poses: (K, 4, 4) ``T_camera_object``, metres.
        fitness: (K,) share of the measured points that found a model point in the last stage, 0 to 1.
        rmse: (K,) root mean square distance of those, metres; NaN where there was none.
    """

    poses: Float
    fitness: Float
    rmse: Float


class IcpRefiner:
    """Refines poses of the objects of one set; what it needs of an object is prepared once, at its first use."""

    def __init__(self, config: IcpConfig, objects: ObjectSet) -> None:
        self.config = config
        self.objects = objects
        self._surfaces: dict[int, ObjectSurface] = {}

    def surface(self, obj_id: int) -> ObjectSurface:
        """The surface samples of object `obj_id`."""
        if obj_id not in self._surfaces:
            self._surfaces[obj_id] = ObjectSurface(self.objects[obj_id], self.config.model_points)
        return self._surfaces[obj_id]

    def last_distance(self, obj_id: int, noise: float = 0.0) -> float:
        """Metres from the surface of object `obj_id` within which points are its own at the end of the last ICP."""
        return self._distance(self.config.final_distances[-1] * self.objects[obj_id].diameter, noise)

    def _distance(self, distance: float, noise: float) -> float:
        return float(np.hypot(max(distance, self.config.min_distance), NOISE_SIGMAS * noise))

    def refine(
        self,
        obj_id: int,
        points: NDArray[np.floating],
        poses: Float,
        final: bool = False,
        noise: float = 0.0,
        facing: float = 0.0,
    ) -> IcpPoses:
        """Refine poses of one instance.

        Args:
            obj_id: which object.
            points: (P, 3) measured points in the camera frame, metres; rows that are not finite are ignored.
            poses: (K, 4, 4) ``T_camera_object`` to start from.
            final: use `final_distances` (a pose that is right already, many points).
            noise: standard deviation (metres) of the depth on top of a Kinect's (`DepthNoise.excess`), for which the
                distances of the options are meant.
            facing: cosine to the view ray up to which a side is too steep to be measured. Points of the side that
                meets it at an edge would be taken for its own; left out, it binds nothing.

        Returns:
            the refined poses; those given, with a fitness of 0, where ICP is off, there is no mesh or there are too
            few points.
        """
        poses = np.array(poses, np.float64, order="C")
        count = len(poses)
        fitness, rmse = np.zeros(count), np.full(count, np.nan)
        measured: Float = np.asarray(points, np.float64)
        if not (finite := np.isfinite(measured)).all():
            measured = measured[finite.all(1)]
        model = self.objects[obj_id]
        if not self.config.enabled or model.mesh_path is None or len(measured) < self.config.min_points:
            return IcpPoses(poses, fitness, rmse)
        distances = self.config.final_distances if final else self.config.max_distances
        stages = [self._distance(d * model.diameter, noise) for d in distances]
        grid = self.surface(obj_id).grid
        refine_poses(
            np.ascontiguousarray(measured),
            poses,
            grid.samples,
            grid.normals,
            grid.starts,
            grid.origin,
            grid.cell,
            grid.size,
            np.array(stages),
            float(facing),
            self.config.min_points,
            self.config.iterations,
            _SAME_FITNESS,
            _SAME_RMSE,
            fitness,
            rmse,
        )
        return IcpPoses(poses, fitness, rmse)


def object_points(frame: RGBDFrame, mask: Bool, diameter: float, config: IcpConfig, count: int | None = None) -> Float:
    """Measured points of one instance, spread evenly over its mask.

    Args:
        frame: the frame; depth that is 0, negative or not finite counts as missing.
        mask: (H, W) bool.
        diameter: of the object, metres; points too far from the cloud's median to belong to it are left out.
        config: limits.
        count: at most so many points (default: `config.points`).

    Returns:
        (P, 3) points in the optical frame, metres; P may be 0.
    """
    camera = frame.intrinsics
    points = points_near_median(
        np.require(frame.depth, np.float32, ("C", "W")),  # kernels are compiled for these
        np.require(mask, bool, ("C", "W")),
        float(camera.fx),
        float(camera.fy),
        float(camera.cx),
        float(camera.cy),
        float(config.cut_radius * diameter),
    )
    return points[even_indices(len(points), count or config.points)]
