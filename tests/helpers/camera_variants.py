"""One real frame as other cameras would have taken it; run as a script, it prints the tables of docs/camera.md."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics, camera_of_window
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.bop import BopScene
from pose_tracking.evaluation.metrics.pose import add
from pose_tracking.pipeline.pose_tracker import PoseTracker
from pose_tracking.segmentation.network_view import NetworkView

CAT = 6


class View(NamedTuple):
    """A frame and the (4, 4) true pose of the cat in it."""

    frame: RGBDFrame
    truth: Float


def resized(view: View, width: int, height: int) -> View:
    """The image at another size, pixels square or not; depth without means over edges."""
    frame = view.frame
    camera = camera_of_window(frame.intrinsics, 0, 0, frame.intrinsics.width, frame.intrinsics.height, (width, height))
    smaller = width * height < frame.depth.size
    color = cv2.resize(frame.color, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    depth = cv2.resize(frame.depth, (width, height), interpolation=cv2.INTER_NEAREST)
    frame = replace(frame, color=color.astype(np.uint8), depth=depth.astype(np.float32), intrinsics=camera)
    return View(frame, view.truth)


def padded(view: View, width: int, height: int) -> View:
    """The image in the middle of a larger black one without depth."""
    frame = view.frame
    rows, columns = frame.depth.shape
    left, top = (width - columns) // 2, (height - rows) // 2
    inside = np.s_[top : top + rows, left : left + columns]
    color, depth = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.float32)
    color[inside], depth[inside] = frame.color, frame.depth
    camera = frame.intrinsics
    camera = replace(camera, width=width, height=height, cx=camera.cx + left, cy=camera.cy + top)
    return View(replace(frame, color=color, depth=depth, intrinsics=camera), view.truth)


def cropped(view: View, width: int, height: int) -> View:
    """The middle of the image."""
    frame = view.frame
    rows, columns = frame.depth.shape
    left, top = (columns - width) // 2, (rows - height) // 2
    inside = np.s_[top : top + height, left : left + width]
    camera = camera_of_window(frame.intrinsics, left, top, width, height, (width, height))
    return View(replace(frame, color=frame.color[inside], depth=frame.depth[inside], intrinsics=camera), view.truth)


def turned(view: View, quarters: int) -> View:
    """The image of a camera turned about its optical axis, by quarter turns; the image turns anticlockwise."""
    color, depth, camera, truth = view.frame.color, view.frame.depth, view.frame.intrinsics, view.truth
    quarter = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # (x, y) to (y, -x)
    for _ in range(quarters):
        camera = CameraIntrinsics(
            camera.height, camera.width, camera.fy, camera.fx, camera.cy, camera.width - 1 - camera.cx
        )
        color, depth, truth = np.rot90(color).copy(), np.rot90(depth).copy(), quarter @ truth
    return View(replace(view.frame, color=color, depth=depth, intrinsics=camera), truth)


def lit(view: View, gain: float) -> View:
    """The image under another exposure."""
    color = np.clip(view.frame.color * gain + 0.5, 0, 255).astype(np.uint8)
    return View(replace(view.frame, color=color), view.truth)


def noisy(view: View, sigma: float, holes: float, seed: int) -> View:
    """The depth with independent noise (standard deviation in metres) and a share of single pixels without reading."""
    rng, depth = np.random.default_rng(seed), view.frame.depth
    worse = depth + rng.normal(0, sigma, depth.shape).astype(np.float32)
    worse[(depth == 0) | (rng.random(depth.shape) < holes)] = 0
    return View(replace(view.frame, depth=worse), view.truth)


VARIANTS: dict[str, Callable[[View], View]] = {
    "640x480, as recorded": lambda view: view,
    "320x240": lambda view: resized(view, 320, 240),
    "480x360": lambda view: resized(view, 480, 360),
    "960x720": lambda view: resized(view, 960, 720),
    "1280x960": lambda view: resized(view, 1280, 960),
    "1920x1440": lambda view: resized(view, 1920, 1440),
    "black borders, 1280x720": lambda view: padded(view, 1280, 720),
    "the middle, 400x400": lambda view: cropped(view, 400, 400),
    "pixels not square, 640x360": lambda view: resized(view, 640, 360),
    "portrait, turned to the left": lambda view: turned(view, 1),
    "portrait, turned to the right": lambda view: turned(view, 3),
    "upside down": lambda view: turned(view, 2),
    "brightness 0.3": lambda view: lit(view, 0.3),
    "brightness 2": lambda view: lit(view, 2.0),
}


# Those of the variants that are crossed with noise, holes and brightness.
SIZES = (
    "640x480, as recorded",
    "320x240",
    "1280x960",
    "black borders, 1280x720",
    "pixels not square, 640x360",
    "portrait, turned to the left",
)


class Outcome(NamedTuple):
    """What came of a variant: ADD of the cat in metres, NaN where it was not found, and how many tracks besides."""

    add: float
    others: int


class CatFrame:
    """The real LineMOD frame and a pipeline that knows its object.

    Args:
        data: folder of the real recordings, with ``linemod/``.
    """

    def __init__(self, data: Path) -> None:
        self.tracker = PoseTracker(ModelBundle.load("linemod", objects=data / "linemod" / "models"))
        sample = BopScene(data / "linemod" / "test")[0]
        assert sample.objects
        truth = next(o.pose for o in sample.objects if o.obj_id == CAT)
        assert truth is not None
        self.view = View(sample.frame, truth)

    def look(self, view: View) -> Outcome:
        """One frame through a pipeline that has seen none before."""
        self.tracker.reset()
        tracked = self.tracker.update(view.frame)
        mesh = self.tracker.objects[CAT].mesh
        assert mesh is not None
        errors = [add(t.pose, view.truth, mesh.vertices) for t in tracked if t.obj_id == CAT and t.pose is not None]
        right = [e for e in errors if e < 0.1 * self.tracker.objects[CAT].diameter]
        return Outcome(min(right, default=float("nan")), len(tracked) - len(right))

    def set_noise(self, model: str) -> None:
        """Look with a `pose.depth_noise.model`."""
        self.tracker.configure(**{"pose.depth_noise.model": model})

    def seconds(self, view: View) -> float:
        """CPU time of the detector, median of three runs: what else the machine does counts less than in wall time."""
        times = []
        for _ in range(3):
            start = time.process_time()
            self.tracker.segmenter.segment(view.frame)
            times.append(time.process_time() - start)
        return sorted(times)[1]


def of_noise(cat: CatFrame, draws: int = 3) -> None:
    """Print how often the cat is found under a noise and holes, and the mean ADD of those times."""
    print("| noise | holes | `stereo` | `auto` |\n|---|---|---|---|")
    for sigma in (0.002, 0.005, 0.008):
        for holes in (0.0, 0.6, 0.8):
            cells = []
            for model in ("stereo", "auto"):
                cat.set_noise(model)
                errors = [cat.look(noisy(cat.view, sigma, holes, seed)).add for seed in range(draws)]
                found = [e for e in errors if not np.isnan(e)]
                mean = f", {1000 * np.mean(found):.1f} mm" if found else ""
                cells.append(f"{len(found)} of {draws}{mean}")
            print(f"| {1000 * sigma:.0f} mm | {100 * holes:.0f} % | {cells[0]} | {cells[1]} |", flush=True)
    cat.set_noise("kinect")


def crossed(cat: CatFrame, model: str = "auto") -> None:
    """Print in how many of all combinations of size, noise, holes and brightness the cat is found, and the failures."""
    cat.set_noise(model)
    print("| image | 2 mm, no holes | 2 mm, 60 % | 8 mm, no holes | 8 mm, 60 % |\n|---|---|---|---|---|")
    missed = []
    for name in SIZES:
        cells = []
        for sigma, holes in itertools.product((0.002, 0.008), (0.0, 0.6)):
            errors = []
            for gain in (0.3, 1.0, 2.0):
                view = lit(noisy(VARIANTS[name](cat.view), sigma, holes, 0), gain)
                errors.append(cat.look(view).add)
                if np.isnan(errors[-1]):
                    missed.append(f"{name}, {1000 * sigma:.0f} mm, {100 * holes:.0f} % holes, brightness {gain:g}")
            found = [e for e in errors if not np.isnan(e)]
            worst = f", at most {1000 * max(found):.1f} mm" if found else ""
            cells.append(f"{len(found)} of {len(errors)}{worst}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print("not found: " + ("; ".join(missed) or "nowhere"))
    cat.set_noise("kinect")


def main() -> None:
    """Print the tables."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    cat = CatFrame(Path(os.environ.get("POSE_TRACKING_DATA", default)))
    if "--crossed" in sys.argv[1:]:
        crossed(cat)
        return
    of_noise(cat)
    cat.seconds(cat.view)  # the first frames take longer
    print("| image | ADD of the cat | network's image | detector |\n|---|---|---|---|")
    for name, variant in VARIANTS.items():
        view = variant(cat.view)
        outcome, seen = cat.look(view), NetworkView.of(view.frame, cat.tracker.segmenter.config)
        error = "not found" if np.isnan(outcome.add) else f"{1000 * outcome.add:.1f} mm"
        print(f"| {name} | {error} | {seen.columns}x{seen.rows} | {1000 * cat.seconds(view):.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
