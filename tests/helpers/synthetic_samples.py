"""Small samples with everything in them that a dataset can hold."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets import GroundTruthObject, Sample

WIDTH, HEIGHT = 64, 48
INTRINSICS = CameraIntrinsics(WIDTH, HEIGHT, 60.5, 61.25, 31.75, 23.5)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    return make_transform(Rotation.random(random_state=rng).as_matrix(), rng.uniform(-0.5, 0.5, 3) + [0, 0, 1])


def make_sample(
    seed: int = 0, stamp_ns: int = 1_234_567_890, depth_step: float = 1e-3, camera_pose: bool = True
) -> Sample:
    """A frame of noise with two annotated objects; depth is a multiple of `depth_step` metres."""
    rng = np.random.default_rng(seed)
    color = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    steps = rng.integers(1, 6000, (HEIGHT, WIDTH))
    depth = (steps * depth_step).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0
    objects = []
    for number in range(2):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        x, y = rng.integers(0, 20, 2)
        mask[y : y + 12, x : x + 17] = True
        box = np.array([x, y, x + 17, y + 12], float)
        objects.append(
            GroundTruthObject(
                obj_id=5 + number,
                pose=random_pose(rng),
                visibility=0.5,
                box=box,
                mask=mask,
                instance_id=number + 1,
                amodal_box=box + [-3, -2, 0, 0],
            )
        )
    pose = random_pose(rng) if camera_pose else None
    return Sample(RGBDFrame(color, depth, INTRINSICS, stamp_ns, camera_pose=pose), objects)


def assert_same_frame(a: RGBDFrame, b: RGBDFrame) -> None:
    np.testing.assert_array_equal(a.color, b.color)
    np.testing.assert_array_equal(a.depth, b.depth)
    assert a.intrinsics == b.intrinsics
    assert a.stamp_ns == b.stamp_ns
    assert (a.camera_pose is None) == (b.camera_pose is None)
    if a.camera_pose is not None and b.camera_pose is not None:
        np.testing.assert_allclose(a.camera_pose, b.camera_pose, atol=1e-12)
