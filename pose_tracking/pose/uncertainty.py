"""The covariance of a pose that was fitted to the depth of one instance."""

from __future__ import annotations

from pose_tracking.core.arrays import Float

from .attempts import Checked
from .config import CovarianceConfig
from .fitting.ambiguous_turn import ambiguous_turn
from .fitting.covariance import depth_covariance, own_readings
from .fitting.icp import IcpRefiner
from .fitting.scoring import InstanceView, Verifier


def covariance_on_depth(
    config: CovarianceConfig,
    icp: IcpRefiner,
    verifier: Verifier,
    view: InstanceView,
    obj_id: int,
    points: Float,
    best: Checked,
) -> tuple[Float, Float, Float | None]:
    """(6, 6) covariance of a pose, the part of it that all frames share, and what they leave of an open turn, if any.

    Args:
        config: options.
        icp, verifier: what refined and checked it.
        view: the frame and the mask of the instance.
        obj_id: its object.
        points: (P, 3) its measured points, metres.
        best: the pose.
    """
    noise = verifier.noise(view.frame)
    model, surface = icp.objects[obj_id], icp.surface(obj_id)
    distance = icp.last_distance(obj_id, noise.excess(best.pose[2, 3]))
    match = surface.grid.nearest(points, best.pose, distance)
    covariance, systematic = depth_covariance(
        config,
        model,
        surface,
        points,
        best.pose,
        noise=noise,
        visible_px=own_readings(config, view.frame, view.core, best.check.features["visible_px"]),
        max_distance=distance,
        confidence=best.score,
        match=match,
    )
    open_turn = ambiguous_turn(verifier, view, model, surface, points, best.pose, best.check, distance, match=match)
    if open_turn is None:
        return covariance, systematic, None
    spread = open_turn.covariance(best.pose)
    return covariance + spread, systematic, open_turn.covariance(best.pose, lasting=True)
