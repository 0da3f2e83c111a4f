"""The pose of an object that a track follows: from where the track expects it, refined once and checked once.

No network runs and nothing else is tried. Whether the outcome convinces is for the caller to say, who knows the track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.core.workers import map_at_once

from .attempts import Checked, Origin
from .config import PoseConfig
from .fitting.held_turn import hold_turn
from .fitting.icp import IcpRefiner, object_points
from .fitting.scoring import Verifier
from .uncertainty import covariance_on_depth


def follow(
    icp: IcpRefiner,
    verifier: Verifier,
    config: PoseConfig,
    frame: RGBDFrame,
    instances: Instances,
    starts: Sequence[Float | None],
) -> list[PoseEstimate | None]:
    """Poses of N instances, each from where a track expects it.

    Args:
        icp, verifier: those of the pose stage.
        config: its options.
        frame: the frame.
        instances: N instances of objects with meshes.
        starts: N poses (4, 4) ``T_camera_object``; None for an instance that no track expects.

    Returns:
        an estimate without the poses of a network; None where there is no start, or too little depth.
    """
    least = max(config.icp.min_points, config.crop.min_points)

    def from_start(i: int) -> PoseEstimate | None:
        start = starts[i]
        if start is None:
            return None
        obj_id, mask = int(instances.obj_ids[i]), instances.masks[i]
        points = object_points(frame, mask, icp.objects[obj_id].diameter, config.icp)
        if len(points) < least:
            return None
        view, noise = verifier.view(frame, mask), verifier.noise(frame).excess(start[2, 3])
        pose = np.asarray(icp.refine(obj_id, points, start[None], final=True, noise=noise).poses[0])
        pose, check = hold_turn(verifier, icp, view, obj_id, points, pose, start)
        found = Checked(pose, check, Origin.TRACK)
        covariance, systematic, open_turn = covariance_on_depth(
            config.covariance, icp, verifier, view, obj_id, points, found
        )
        return PoseEstimate(
            pose,
            found.score,
            covariance,
            fit=found.check.features,
            systematic=systematic,
            origin=found.origin.value,
            open_turn=open_turn,
        )

    verifier.noise(frame)  # measured once, before several threads ask for it
    return map_at_once(from_start, range(len(instances)))
