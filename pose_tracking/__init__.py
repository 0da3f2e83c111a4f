"""RGB-D 6D pose estimation and tracking: instance segmentation, DenseFusion poses, Deep SORT identities.

The names below are the public API; what is not among them may move. They are imported when they are first asked for, so
that ``import pose_tracking`` loads neither PyTorch nor Open3D.

Everything but ``pose_tracking.ros`` imports no ROS package. Frames are OpenCV optical frames (x right, y down, z
forward), lengths metres, angles radians, times seconds, images RGB.
"""

from __future__ import annotations

import importlib

# The generated interface modules (pose_tracking.msg, pose_tracking.srv) may be installed in another folder of
# sys.path than these sources when working from a checkout: merge both.
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.camera import CameraIntrinsics
    from pose_tracking.core.errors import FrameError, PoseTrackingError
    from pose_tracking.core.frame import RGBDFrame
    from pose_tracking.core.results import Detection, PoseEstimate, TrackedObject, TrackState
    from pose_tracking.datasets.open import open_source
    from pose_tracking.pipeline.pose_tracker import FrameReport, PoseTracker
    from pose_tracking.pose.networks.densefusion import load_densefusion

__path__ = extend_path(__path__, __name__)
__version__ = "0.2.0"

__all__ = [
    "CameraIntrinsics",
    "Detection",
    "FrameError",
    "FrameReport",
    "ModelBundle",
    "PoseEstimate",
    "PoseTracker",
    "PoseTrackingError",
    "RGBDFrame",
    "TrackState",
    "TrackedObject",
    "__version__",
    "load_densefusion",
    "open_source",
]

# Where each public name lives; the same as in the imports above, which only type checkers and editors read.
_HOMES = {
    "CameraIntrinsics": "core.camera",
    "Detection": "core.results",
    "FrameError": "core.errors",
    "FrameReport": "pipeline.pose_tracker",
    "ModelBundle": "bundles.bundle",
    "PoseEstimate": "core.results",
    "PoseTracker": "pipeline.pose_tracker",
    "PoseTrackingError": "core.errors",
    "RGBDFrame": "core.frame",
    "TrackState": "core.results",
    "TrackedObject": "core.results",
    "load_densefusion": "pose.networks.densefusion",
    "open_source": "datasets.open",
}


if not TYPE_CHECKING:  # a type checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # the next look-up finds it without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
