"""Compiling the kernels of the fitting before the first frame needs them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, transform_points
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig

from .color_comparison import color_features
from .covariance import hypotheses_covariance
from .depth_tracking import DepthTracker
from .icp import IcpRefiner, object_points
from .scoring import Verifier
from .visible_region import exact_box

LOGGER = logging.getLogger(__name__)

_CAMERA = CameraIntrinsics.of_view(64, 48, 60.0)
_WORTH_SAYING = 2.0  # seconds


@contextmanager
def kernels_compiled(config: PoseConfig, objects: ObjectSet) -> Iterator[None]:
    """Compile the kernels, or read them from disk, in a thread beside what is done within; both are done at the end."""
    with ThreadPoolExecutor(1, thread_name_prefix="kernels") as pool:
        compiling = pool.submit(compile_kernels, config, objects)
        yield
        compiling.result()


def compile_kernels(config: PoseConfig, objects: ObjectSet) -> None:
    """Fit the first object that has a mesh to its own picture: every kernel is called once.

    A mesh that cannot be read is left to whoever needs it.
    """
    started = time.monotonic()
    model = next((model for model in objects.values() if model.mesh_path is not None), None)
    try:
        if model is None or model.mesh is None:
            return
    except PoseTrackingError:
        return
    _fit(config, objects, model)
    took = time.monotonic() - started
    if took > _WORTH_SAYING:
        LOGGER.info("compiled the kernels of the pose stage in %.1f s", took)


def _fit(config: PoseConfig, objects: ObjectSet, model: ObjectModel) -> None:
    icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects, config.depth_noise)
    pose = make_transform(np.eye(3), -model.box_min - model.size / 2 + [0.0, 0.0, 2 * model.diameter])
    depth = np.zeros((_CAMERA.height, _CAMERA.width), np.float32)
    raycaster = verifier.raycaster(model.obj_id)
    rows, cols, hits = raycaster.cast_grid(pose, _CAMERA, (0, 0, _CAMERA.width, _CAMERA.height))
    depth[rows, cols] = hits.depth
    frame = RGBDFrame(np.zeros((*depth.shape, 3), np.uint8), depth, _CAMERA)
    surface = icp.surface(model.obj_id)
    points = transform_points(pose, surface.front(pose)[0])
    object_points(frame, depth > 0, model.diameter, config.icp)
    icp.refine(model.obj_id, points, pose[None])
    verifier.verify(verifier.view(frame, depth > 0), model.obj_id, pose)
    compared = verifier.compare(frame, model.obj_id, pose)
    color_features(frame.color, raycaster.mesh, compared)  # also without colours
    hypotheses_covariance(config.covariance, model, pose[None], np.ones(1))
    few = verifier.compare(frame, model.obj_id, pose, 100)  # the tracking takes all of so small a picture
    exact_box(verifier, frame, model.obj_id, pose, few)
    DepthTracker(DepthTrackingConfig(), config.covariance, icp, verifier).track(
        frame, model.obj_id, pose, 1e-6 * np.eye(6), 0.0
    )
