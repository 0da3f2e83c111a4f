"""Tracking an object from frame to frame without a detector: its predicted pose refined and checked on the depth.

The model is ray-cast at the predicted pose. What is measured near that surface pulls the pose along by ICP; the pose it
ends at is scored as a detected one is. What is measured behind the surface says that the object has gone, what is
measured before it that the object is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import nearest_equivalent
from pose_tracking.core.results import PoseEstimate
from pose_tracking.pose.config import CovarianceConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig

from .ambiguous_turn import OpenTurn, ambiguous_turn
from .covariance import depth_covariance, own_readings
from .depth_tracking_kernels import mean_distance, measured_near, share_in_view
from .held_turn import held_turn
from .icp import IcpRefiner
from .reasons import GONE, HIDDEN, MOVED, OUT_OF_VIEW, SCORE, reason
from .scoring import Verifier
from .search_around import MOST_HIDDEN, search, slid
from .surface_comparison import SurfaceComparison
from .visible_region import exact_box, visible_mask

# Points are chosen anew and fitted again: those under a wrong silhouette hold the pose in it.
_SETTLINGS = 2
_SETTLED = 0.001  # diameters that the surface moves by at most where another choice of points is not worth it
# Diameters across the view ray that an outline with nothing hidden leaves: what is twice as far off is shifted.
_OUTLINE = 0.025
_MASK_RAYS = 5000  # at the final pose: one a pixel of most objects, one for some pixels of near ones
_COMPARED = 20  # each so many surface samples tell how far a surface is from another
_HELD = 0.5  # times the confidence asked for from which the prediction is believed: it is likely beforehand
_SURE = 0.5  # pose confidence from which nothing else is tried
_FACING = 0.1  # cosine to the view ray up to which a side holds nothing


@dataclass(frozen=True)
class DepthTrackedPose:
    """An object found where it was expected.

    Attributes:
        estimate: its pose in this frame.
        mask: (H, W) bool, the pixels it is seen at.
        box: (4,) float64 (x_min, y_min, x_max, y_max) around them, pixels.
    """

    estimate: PoseEstimate
    mask: Bool
    box: Float


class DepthTracker:
    """Finds objects at their predicted poses.

    Args:
        config: limits.
        covariance: options of the poses' covariance.
        icp, verifier: those of the pose stage; meshes and acceleration structures are shared.
    """

    def __init__(
        self, config: DepthTrackingConfig, covariance: CovarianceConfig, icp: IcpRefiner, verifier: Verifier
    ) -> None:
        self.config = config
        self.covariance = covariance
        self.icp = icp
        self.verifier = verifier
        self.objects = icp.objects

    def can_track(self, obj_id: int) -> bool:
        """Whether object `obj_id` has what tracking needs: a mesh, and ICP that is not switched off."""
        return self.icp.config.enabled and obj_id in self.objects.with_mesh

    def track(
        self,
        frame: RGBDFrame,
        obj_id: int,
        predicted: Float,
        covariance: Float,
        min_confidence: float,
        manoeuvre: float = 0.0,
        hold: bool = False,
    ) -> DepthTrackedPose | str:
        """Look for object `obj_id`, which `can_track`.

        Args:
            frame: the frame.
            obj_id: which object.
            predicted: (4, 4) ``T_camera_object`` at the time of the frame.
            covariance: (6, 6) of the prediction.
            min_confidence: a pose that scores less is not believed.
            manoeuvre: standard deviation (m) of what an unforeseen change of its velocity adds to the way of the
                object; where it is not found at the prediction it is searched for that far around. 0: it is not.
            hold: whether the prediction itself is tried, too, where what is found from it does not convince. Little of
                a hidden object is seen, and a fit to little slips off the right pose.

        Returns:
            what was found, or why nothing was: one of `reasons`.
        """
        outcome = self._look(frame, obj_id, predicted, covariance, min_confidence)
        if hold:
            outcome = self._held(frame, obj_id, predicted, outcome, min_confidence)
        if manoeuvre > 0 and outcome in (GONE, HIDDEN, MOVED, SCORE):
            found = self._search(frame, obj_id, predicted, covariance, min_confidence, manoeuvre)
            return outcome if found is None else found
        return outcome

    def _look(
        self, frame: RGBDFrame, obj_id: int, predicted: Float, covariance: Float, min_confidence: float
    ) -> DepthTrackedPose | str:
        """`track` near the prediction alone."""
        before = self.verifier.compare(frame, obj_id, predicted, self.config.rays)
        if self._in_view(frame, obj_id, predicted, before) < self.config.min_in_view:
            return OUT_OF_VIEW
        diameter = self.objects[obj_id].diameter
        spread = self.config.sigmas * float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
        least, most = self.config.least_reach * diameter, self.config.most_reach * diameter
        points, share = self._near(frame, before, float(np.clip(spread, least, most)))
        if share < self.config.min_visible or len(points) < self.icp.config.min_points:
            return reason(before)
        pose = predicted
        if spread > least:
            pose = self._refine(frame, obj_id, points, pose, final=False)
        found = self._settle(frame, obj_id, pose, predicted, before if pose is predicted else None)
        bound = found is not None and self._is_bound(found.estimate)
        shifted = pose if bound else slid(self.verifier, frame, obj_id, pose)
        if shifted is not pose:
            again = self._settle(frame, obj_id, shifted, predicted)
            if again is not None and (found is None or again.estimate.confidence > found.estimate.confidence):
                found = again
        if found is not None and found.estimate.confidence >= min_confidence:
            return found
        if found is None and self._distance(obj_id, pose, predicted) > self.config.max_move * diameter:
            return MOVED
        return reason(before, otherwise=None if found is None else SCORE)

    def _held(
        self, frame: RGBDFrame, obj_id: int, predicted: Float, outcome: DepthTrackedPose | str, min_confidence: float
    ) -> DepthTrackedPose | str:
        """What fits best of a doubtful `outcome`, the prediction, and a fit to what is measured closest to it."""
        if outcome not in (HIDDEN, SCORE) if isinstance(outcome, str) else outcome.estimate.confidence >= _SURE:
            return outcome
        compared = self.verifier.compare(frame, obj_id, predicted, self.config.rays)
        points, share = self._near(frame, compared, self.config.least_reach * self.objects[obj_id].diameter)
        if share < self.config.min_visible or len(points) < self.icp.config.min_points:
            return outcome
        best, most = outcome, _HELD * min_confidence if isinstance(outcome, str) else outcome.estimate.confidence
        settled = self._settle(frame, obj_id, predicted, predicted, compared)
        for found in (settled, self._judge(frame, obj_id, predicted, points)[0]):
            if found is not None and found.estimate.confidence >= most:
                best, most = found, found.estimate.confidence
        return best

    def _is_bound(self, estimate: PoseEstimate) -> bool:
        """Whether little speaks for a pose's having slid: a surface before a void, or closely behind another one."""
        fit, config = estimate.fit, self.config
        return fit["violated_fraction"] < config.max_void and fit["sunken_fraction"] < config.max_sunken

    def visible_part(self, frame: RGBDFrame, obj_id: int, pose: Float) -> tuple[Float, Bool, Bool] | None:
        """What is seen of an object at a (4, 4) pose; None where that is hardly anything.

        Returns:
            (4,) its box in pixels, (H, W) its mask, and (H, W) where it would be seen but the depth has not been read.
        """
        compared = self.verifier.compare(frame, obj_id, pose)
        if compared.agrees.sum() < self._min_visible_px(frame):
            return None
        shape = frame.depth.shape
        return compared.box(), visible_mask(compared, shape), compared.painted(compared.blind, shape)

    def _search(
        self, frame: RGBDFrame, obj_id: int, predicted: Float, covariance: Float, min_confidence: float,
        manoeuvre: float,
    ) -> DepthTrackedPose | None:  # fmt: skip
        """`track` around the prediction, as far as a manoeuvre may have carried the object; None where it is not."""
        reach = min(self.config.sigmas * manoeuvre, self.config.most_search * self.objects[obj_id].diameter)
        least = max(min_confidence, self.config.search_confidence)
        return search(
            lambda start, uncertain: self._look(frame, obj_id, start, uncertain, least),
            self.verifier, frame, obj_id, predicted, covariance, reach, manoeuvre,
        )  # fmt: skip

    def _settle(
        self, frame: RGBDFrame, obj_id: int, pose: Float, predicted: Float, compared: SurfaceComparison | None = None
    ) -> DepthTrackedPose | None:
        """The last ICP from `pose` and what the frame says of its end; None where it is not to be believed at all.

        `compared` is what the object at `pose` was found to be against the frame, where that is known.
        """
        model = self.objects[obj_id]
        for _ in range(_SETTLINGS):
            if compared is None:
                compared = self.verifier.compare(frame, obj_id, pose, self.config.rays)
            points, _ = self._near(frame, compared, self.config.least_reach * model.diameter)
            start, compared = pose, None
            pose = self._refine(frame, obj_id, points, start, final=True)
            if self._distance(obj_id, pose, start) < _SETTLED * model.diameter:
                break  # the same points would be chosen again
        if self._distance(obj_id, pose, predicted) > self.config.max_move * model.diameter:
            return None
        found, turn = self._judge(frame, obj_id, pose, points)
        if found is None or turn is None:
            return found
        # Each is judged by its own silhouette: where a handle is not, nothing speaks against it in another one's.
        held, better = held_turn(pose, turn, predicted), turn.better
        if better is not None:
            better = self._refine(frame, obj_id, points, better, final=True)
        for other, known in ((held, turn), (better, None)):
            again, _ = (None, None) if other is None else self._judge(frame, obj_id, other, points, known)
            if again is not None and again.estimate.confidence >= found.estimate.confidence:
                found = again
        return found

    def _judge(
        self, frame: RGBDFrame, obj_id: int, pose: Float, points: Float, turn: OpenTurn | None = None
    ) -> tuple[DepthTrackedPose | None, OpenTurn | None]:
        """What the frame says of a pose fitted to (P, 3) points; None where it is not to be believed at all.

        And which turn it may leave open, where that is not known as `turn`.
        """
        model = self.objects[obj_id]
        after = self.verifier.compare(frame, obj_id, pose, _MASK_RAYS)
        agrees, visible_px = after.agrees, float(after.agrees.sum() * after.step**2)
        if agrees.sum() < self.config.min_visible * len(agrees) or visible_px < self._min_visible_px(frame):
            return None, None
        # All of the silhouette but what is hidden counts as the instance: what lies behind speaks against the pose.
        claimed, corner = after.painted_part(~after.hidden, frame.depth.shape)
        view = self.verifier.view(frame, claimed, corner)
        check = self.verifier.verify(view, obj_id, pose)
        noise, surface = self.verifier.noise(frame), self.icp.surface(obj_id)
        distance = self.icp.last_distance(obj_id, noise.excess(pose[2, 3]))
        match = surface.grid.nearest(points, pose, distance, _FACING)
        covariance, systematic = depth_covariance(
            self.covariance,
            model,
            surface,
            points,
            pose,
            noise=noise,
            visible_px=own_readings(self.covariance, frame, claimed, visible_px, corner),
            max_distance=distance,
            confidence=check.score,
            outline=_OUTLINE * model.diameter if check.features["occluded_fraction"] <= MOST_HIDDEN else None,
            match=match,
        )
        if turn is None:
            turn = ambiguous_turn(self.verifier, view, model, surface, points, pose, check, distance, match=match)
        estimate = PoseEstimate(pose, check.score, covariance, fit=check.features, systematic=systematic)
        if turn is not None:
            estimate.covariance, estimate.open_turn = covariance + turn.covariance(pose), turn.covariance(pose, True)
        mask = visible_mask(after, frame.depth.shape)
        box = exact_box(self.verifier, frame, obj_id, pose, after)
        return DepthTrackedPose(estimate, mask, box), turn

    def _min_visible_px(self, frame: RGBDFrame) -> float:
        # As much of the object in every camera, but not so few pixels that their depth says nothing.
        least = min(self.config.min_visible_px, self.icp.config.min_points)
        return max(self.config.min_visible_px * frame.intrinsics.density, least)

    def _in_view(self, frame: RGBDFrame, obj_id: int, pose: Float, compared: SurfaceComparison) -> float:
        """Share of the surface towards the camera that is in the picture, at a pose compared with it."""
        surface, camera = self.icp.surface(obj_id), frame.intrinsics
        x0, y0, x1, y1 = compared.region
        return share_in_view(
            surface.points, surface.normals, np.ascontiguousarray(pose, np.float64), camera.pinhole, camera.width,
            camera.height, x0 > 0 and y0 > 0 and x1 < camera.width and y1 < camera.height,
        )  # fmt: skip

    def _near(self, frame: RGBDFrame, compared: SurfaceComparison, reach: float) -> tuple[Float, float]:
        """(P, 3) measured points within `reach` (m) of a rendered surface, and which share of it they are."""
        points = np.empty((self.icp.config.points, 3))
        count, share = measured_near(
            np.ascontiguousarray(frame.depth, np.float32),
            compared.camera,
            compared.rows,
            compared.cols,
            compared.behind,
            compared.tolerance,
            float(reach),
            points,
        )
        return points[:count], share

    def _refine(self, frame: RGBDFrame, obj_id: int, points: Float, pose: Float, final: bool) -> Float:
        noise = self.verifier.noise(frame).excess(pose[2, 3])
        return np.asarray(self.icp.refine(obj_id, points, pose[None], final, noise, _FACING).poses[0])

    def _distance(self, obj_id: int, pose: Float, predicted: Float) -> float:
        """Mean distance (m) of the surface at `pose` from that at `predicted`."""
        pose = np.ascontiguousarray(nearest_equivalent(pose, predicted, self.objects[obj_id].symmetries), np.float64)
        predicted = np.ascontiguousarray(predicted, np.float64)
        return mean_distance(self.icp.surface(obj_id).points, _COMPARED, pose, predicted)
