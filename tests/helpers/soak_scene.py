"""Frames for soak runs: a simulated sequence whose end joins its beginning, rendered once and kept as a file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.simulation.sequences.stress import StressConfig, StressSequence

# In these 20 s objects cross, hide, leave the picture and come back; then it begins anew without a seam.
SEED = 92001
RATE_HZ = 2.5
FRAMES = 50
WIDTH, HEIGHT, FOCAL = 320, 240, 285.0
FRAME_ID = "camera_color_optical_frame"


@dataclass(frozen=True)
class Scene:
    """The images: (N, H, W, 3) uint8 RGB and (N, H, W) float32 metres of one camera."""

    color: UInt8
    depth: Float32
    camera: CameraIntrinsics

    def __len__(self) -> int:
        return len(self.color)

    def frame(self, index: int, stamp_ns: int) -> RGBDFrame:
        """Frame `index` of the endless sequence, with a stamp of its own."""
        i = index % len(self)
        return RGBDFrame(self.color[i], self.depth[i], self.camera, stamp_ns, FRAME_ID)


def scene_file() -> Path:
    """The file with the rendered scene, made where it is not there yet (a minute or two)."""
    path = Path(tempfile.gettempdir()) / f"pose_tracking_soak_{SEED}_{FRAMES}_{WIDTH}x{HEIGHT}.npz"
    if not path.is_file():
        config = StressConfig(
            frames=FRAMES, fps=RATE_HZ, width=WIDTH, height=HEIGHT, focal=FOCAL, copies=2, singles=(1, 1), posts=(1, 1)
        )
        frames = [sample.frame for sample in StressSequence(ModelBundle.load("demo").objects, config, SEED)]
        camera = frames[0].intrinsics
        part = path.with_suffix(".part.npz")
        np.savez_compressed(
            part,
            color=np.stack([frame.color for frame in frames]),
            depth=np.stack([np.rint(frame.depth * 1000).astype(np.uint16) for frame in frames]),
            camera=[camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy],
        )
        part.replace(path)
    return path


def load_scene(path: Path) -> Scene:
    """The scene of a file of `scene_file`."""
    with np.load(path) as stored:
        width, height, fx, fy, cx, cy = (float(v) for v in stored["camera"])
        depth = stored["depth"].astype(np.float32) / np.float32(1000)
        return Scene(stored["color"], depth, CameraIntrinsics(int(width), int(height), fx, fy, cx, cy))


def small(frame: RGBDFrame, step: int = 5) -> RGBDFrame:
    """Every `step`-th pixel of a frame: cheap to send, still a whole image of its camera."""
    camera = frame.intrinsics
    color = np.ascontiguousarray(frame.color[::step, ::step])
    shrunk = CameraIntrinsics(
        color.shape[1], color.shape[0], camera.fx / step, camera.fy / step, camera.cx / step, camera.cy / step
    )
    return replace(frame, color=color, depth=np.ascontiguousarray(frame.depth[::step, ::step]), intrinsics=shrunk)
