"""After the warm-up no frame waits for a compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from block_scenes import write_objects

from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.fitting.warm_up import compile_kernels, kernels_compiled

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from block_scenes import LAMP, STEPS, moved, random_pose, render, write_objects
from pose_tracking.objects import rasterizing
from pose_tracking.pose.config import CovarianceConfig, PoseConfig
from pose_tracking.pose.fitting import comparison_kernels, covariance_kernels, depth_tracking_kernels, icp_kernels
from pose_tracking.pose.fitting import outline, rasterized_comparison, slipping_kernels
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig
from pose_tracking.pose.fitting.covariance import depth_covariance
from pose_tracking.pose.fitting.depth_tracking import DepthTracker
from pose_tracking.pose.fitting.icp import IcpRefiner, object_points
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.pose.fitting.warm_up import kernels_compiled

modules = rasterizing, comparison_kernels, covariance_kernels, depth_tracking_kernels, icp_kernels
modules = *modules, outline, rasterized_comparison, slipping_kernels
# Python calls these only where a mesh is too fine to be rasterised.
inner = "measure_behind", "posed_region", "ray_step", "sigma_at"

def compiled():
    return {(module.__name__, name): len(each.signatures)
            for module in modules for name, each in vars(module).items() if hasattr(each, "signatures")}

objects, config = write_objects(Path(sys.argv[1])), PoseConfig()
with kernels_compiled(config, objects):
    pass
before = compiled()
cold = [name for (_, name), count in before.items() if count == 0 and not name.startswith("_")]
assert not set(cold) - set(inner), before
icp, verifier = IcpRefiner(config.icp, objects), Verifier(config.verification, objects)
rng = np.random.default_rng(0)
for obj_id in (STEPS, LAMP):
    pose = random_pose(rng)
    frame, (mask,) = render([(obj_id, pose)])
    frame.color.flags.writeable = obj_id == LAMP  # pixels of a raw message are read-only
    points = object_points(frame, mask, objects[obj_id].diameter, config.icp)
    found = icp.refine(obj_id, points, moved(pose, 5, 0.004, rng)[None], final=True, facing=0.1).poses[0]
    assert verifier.verify(verifier.view(frame, mask), obj_id, found).score > 0.3
    surface, noise = icp.surface(obj_id), verifier.noise(frame)
    match = surface.grid.nearest(points, found, 0.01, 0.1)
    depth_covariance(config.covariance, objects[obj_id], surface, points, found, noise, 900.0, 0.01, match=match)
    tracker = DepthTracker(DepthTrackingConfig(), config.covariance, icp, verifier)
    assert not isinstance(tracker.track(frame, obj_id, moved(pose, 5, 0.004, rng), 1e-6 * np.eye(6), 0.3), str)
assert compiled() == before
"""


def test_a_frame_compiles_nothing_after_the_warm_up(tmp_path: Path) -> None:
    tests = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests / "helpers")])}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_without_meshes_there_is_nothing_to_warm_up(tmp_path: Path) -> None:
    compile_kernels(PoseConfig(), write_objects(tmp_path, with_meshes=False))


def test_a_broken_mesh_is_left_to_whoever_needs_it(tmp_path: Path) -> None:
    objects: ObjectSet = write_objects(tmp_path)
    for path in tmp_path.glob("*.ply"):
        path.write_bytes(b"ply")
    compile_kernels(PoseConfig(), objects)


def test_what_fails_beside_the_warm_up_is_not_hidden(tmp_path: Path) -> None:
    def fail() -> None:
        with kernels_compiled(PoseConfig(), write_objects(tmp_path)):
            raise RuntimeError("of the networks")

    with pytest.raises(RuntimeError, match="of the networks"):
        fail()
