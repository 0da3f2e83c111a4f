"""Where the network's hypotheses fail the depth check: a search over all rotations, on geometry alone.

Each object has a set of templates, the points a camera sees of it from directions and in-plane angles spread evenly
over SO(3) (super-Fibonacci spirals: Alexa, "Super-Fibonacci Spirals: Fast, Low-Discrepancy Sampling of SO(3)", CVPR
2022). All are laid on the measured points and compared at once, the better ones are aligned by a few steps of batched
point-to-plane ICP and compared again, now also with the depth around the instance; what is left goes to the real ICP
and the depth check.
"""

from __future__ import annotations

import threading
import weakref
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from pose_tracking.core.arrays import Bool, Float, even_indices, valid_depth
from pose_tracking.core.background import BackgroundThread
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, view_rotation
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import SearchConfig
from pose_tracking.templates.rotations import symmetric_angles

from .search_kernels import index_of
from .templates import Templates, make_templates

# Keeps the normal equations of flat or round parts, which leave some directions open, solvable.
DAMPING = 2e-3
SLIDES = 2


class RotationSearch:
    """Finds rotations worth refining; what it needs of an object is prepared once, in some tenths of a second.

    That happens at the object's first use, and from the first search on in a thread for the others, so that no later
    frame has to wait for it.
    """

    def __init__(self, config: SearchConfig, objects: ObjectSet) -> None:
        self.config = config
        self.objects = objects
        self._templates: dict[int, Templates] = {}
        self._making = threading.Lock()
        self._thread: BackgroundThread | None = None

    def templates(self, obj_id: int) -> Templates:
        """The templates of object `obj_id`, which must have a mesh."""
        with self._making:
            if obj_id not in self._templates:
                self._templates[obj_id] = make_templates(self.objects[obj_id], self.config)
            return self._templates[obj_id]

    def _prepare_others(self) -> None:
        with self._making:
            if self._thread is not None:
                return
            self._thread = BackgroundThread("templates")
        for obj_id, model in self.objects.items():
            if model.mesh is not None:
                self._thread.submit(partial(_prepare, weakref.ref(self), obj_id))

    def candidates(self, obj_id: int, points: NDArray[np.floating], frame: RGBDFrame, mask: Bool) -> Float:
        """Poses that explain the measured points of one instance roughly, the best first.

        Args:
            obj_id: which object.
            points: (M, 3) its measured points in the optical frame, metres, all finite.
            frame: the frame; a surface before its depth contradicts a pose.
            mask: (H, W) bool, the instance.

        Returns:
            (K, 4, 4) ``T_camera_object``, K at most `keep`, all in different rotations; none without points.
        """
        config, model = self.config, self.objects[obj_id]
        if len(points) == 0:
            return np.zeros((0, 4, 4))
        centre = np.median(points, axis=0)
        to_camera = make_transform(view_rotation(centre), centre)
        cloud = (np.asarray(points, float) - centre) @ to_camera[:3, :3] / model.diameter
        measured = torch.from_numpy(cloud[even_indices(len(cloud), config.points)].astype(np.float32))

        with torch.inference_mode():
            templates = self.templates(obj_id)
            self._prepare_others()
            surface, normals = templates.points, templates.normals
            shift = _placement(measured, surface)
            for _ in range(SLIDES):  # a sixth of the pairs finds a shift as well
                shift = shift + self._slide(measured[::2], surface[:, ::3] + shift[:, None])
            cost = self._cost(measured, surface + shift[:, None])
            cost += config.reverse_weight * self._contradicted(
                surface + shift[:, None], to_camera, model.diameter, frame, mask
            )
            best = torch.argsort(cost, stable=True)[: config.aligned]
            rotation = torch.from_numpy(templates.rotations.astype(np.float32))[best]
            surface, normals, shift = surface[best] + shift[best, None], normals[best], shift[best]
            for _ in range(config.alignments):
                turn, move = self._align(measured, surface, normals)
                turned = turn.transpose(1, 2)
                surface, normals = surface @ turned + move[:, None], normals @ turned
                rotation, shift = turn @ rotation, (turn @ shift[..., None])[..., 0] + move
            cost = self._cost(measured, surface)
            cost += config.reverse_weight * self._contradicted(surface, to_camera, model.diameter, frame, mask)
        poses = make_transform(rotation.numpy(), shift.numpy() * model.diameter)
        chosen: list[int] = []
        for k in torch.argsort(cost, stable=True).tolist():
            if len(chosen) == config.keep:
                break
            angles = symmetric_angles(poses[chosen, :3, :3], poses[k, :3, :3], model.symmetries)
            if np.isfinite(poses[k]).all() and (angles > config.min_angle).all():
                chosen.append(k)
        return to_camera @ poses[chosen]

    def _slide(self, measured: Tensor, surface: Tensor) -> Tensor:
        """(R, 3) shifts of (R, P, 3) surfaces towards the measured points that lie close to them."""
        distance, nearest = _nearest(measured, surface)
        weight = (1 - (distance / (2 * self.config.max_distance)) ** 2).clamp_min(0)[..., None]
        return ((measured - nearest) * weight).sum(1) / (weight.sum(1) + 1.0)

    def _align(self, measured: Tensor, surface: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """One point-to-plane step: (R, 3, 3) rotations and (R, 3) shifts to apply to the surfaces."""
        distance, at, normal = _nearest_with_normals(measured, surface, normals)
        weight = (1 - (distance / self.config.max_distance) ** 2).clamp_min(0) ** 2  # Tukey
        jacobian = torch.cat([torch.linalg.cross(at, normal), normal], dim=2)
        residual = ((measured - at) * normal).sum(2)
        weighted = (jacobian * weight[..., None]).transpose(1, 2)
        system = weighted @ jacobian / len(measured) + DAMPING * torch.eye(6)
        step = torch.linalg.solve(system, weighted @ residual[..., None] / len(measured))[..., 0]
        turn = Rotation.from_rotvec(np.nan_to_num(step[:, :3].numpy())).as_matrix()
        return torch.from_numpy(turn.astype(np.float32)), step[:, 3:]

    def _cost(self, measured: Tensor, surface: Tensor) -> Tensor:
        """(R,) how much of the measured points (M, 3) the surfaces (R, P, 3) leave unexplained, 0 to 1."""
        distance = _distances(measured, _squared_distances(measured, surface).amin(2))
        return (distance / self.config.max_distance).clamp_max(1.0).mean(1)

    def _contradicted(self, surface: Tensor, to_camera: Float, diameter: float, frame: RGBDFrame, mask: Bool) -> Tensor:
        """(R,) share of the surface points that would be seen in the frame but are not.

        What lies behind measured depth is hidden and says nothing; what lies before it, or outside the mask and not
        hidden, contradicts.
        """
        camera = frame.intrinsics
        points = surface.numpy().astype(np.float64) * diameter @ to_camera[:3, :3].T + to_camera[:3, 3]
        z = points[..., 2]
        ahead = z > 1e-3
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.where(ahead, points[..., 0] / z * camera.fx + camera.cx, -1.0).round()
            v = np.where(ahead, points[..., 1] / z * camera.fy + camera.cy, -1.0).round()
        height, width = frame.depth.shape
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        u, v = np.where(inside, u, 0).astype(np.intp), np.where(inside, v, 0).astype(np.intp)
        depth = frame.depth[v, u]
        with np.errstate(invalid="ignore"):
            known = inside & valid_depth(depth)
            excess = np.where(known, depth - z, 0.0) / (0.5 * self.config.max_distance * diameter)
        outside = known & ~mask[v, u] & (excess > -0.5)
        wrong = np.where(outside, 1.0, np.clip(excess, 0.0, 1.0))
        return torch.from_numpy(wrong.mean(1).astype(np.float32))


def _nearest(measured: Tensor, surface: Tensor) -> tuple[Tensor, Tensor]:
    """(R, M) distances of measured points (M, 3) to their nearest surface points (R, P, 3), and those (R, M, 3)."""
    distance, index = _nearest_index(measured, surface)
    return distance, torch.gather(surface, 1, index[..., None].expand(-1, -1, 3))


def _nearest_with_normals(measured: Tensor, surface: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`_nearest` and the normals (R, M, 3) there."""
    distance, index = _nearest_index(measured, surface)
    index = index[..., None].expand(-1, -1, 3)
    return distance, torch.gather(surface, 1, index), torch.gather(normals, 1, index)


def _nearest_index(measured: Tensor, surface: Tensor) -> tuple[Tensor, Tensor]:
    """(R, M) distances of measured points to their nearest surface points, and the indices of those."""
    squared = _squared_distances(measured, surface)
    least, index = squared.amin(2), torch.empty(squared.shape[:2], dtype=torch.long)
    index_of(least.numpy().ravel(), squared.numpy().reshape(-1, squared.shape[2]), index.numpy().ravel())
    return _distances(measured, least), index.T


def _distances(measured: Tensor, least: Tensor) -> Tensor:
    """(R, M) distances of measured points (M, 3), of the (M, R) least of `_squared_distances`."""
    return (least.T + measured.square().sum(1)).clamp_min(0).sqrt()


def _squared_distances(measured: Tensor, surface: Tensor) -> Tensor:
    """(M, R, P) squared distances of all pairs, less the measured points' (M, 3) own squares."""
    flat = surface.reshape(-1, 3)
    # |m - s|^2 - |m|^2 for all pairs as one product (M, 4) x (4, R * P): many small ones are several times slower.
    left = torch.cat([-2 * measured, torch.ones(len(measured), 1)], 1)
    right = torch.cat([flat, flat.square().sum(1, keepdim=True)], 1)
    return (left @ right.T).view(len(measured), *surface.shape[:2])


def _placement(measured: Tensor, surface: Tensor) -> Tensor:
    """(R, 3) shifts that bring surfaces (R, P, 3) onto the measured points (M, 3), whose median is the origin.

    Laterally the medians coincide; along the ray the near sides do, for the far side depends on what is hidden.
    """
    near = torch.quantile(measured[:, 2], 0.1) - torch.quantile(surface[..., 2], 0.1, dim=1)
    lateral = -surface[..., :2].median(1).values
    return torch.cat([lateral, near[:, None]], 1)


def _prepare(search: weakref.ref[RotationSearch], obj_id: int) -> None:
    # Of a search that is gone nothing is prepared: a command that ends must not wait for it.
    if (wanted := search()) is not None:
        wanted.templates(obj_id)
