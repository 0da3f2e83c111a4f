"""The node with the pipelines of `ball_scene` for three models of balls; other models are its own business."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from ball_scene import ball_tracker, shapeless_tracker

from pose_tracking.pipeline import PoseTracker
from pose_tracking.ros.node.loading import load_tracker
from pose_tracking.ros.node.main import main


def make_tracker(values: Mapping[str, Any]) -> PoseTracker:
    """The pipeline of parameter ``model``."""
    if values["model"] == "interrupted balls":  # while they are loaded
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.0)
        return ball_tracker("")
    if values["model"] == "shapeless balls":
        return shapeless_tracker()
    return ball_tracker(values["clip_network"]) if values["model"] == "balls" else load_tracker(values)


if __name__ == "__main__":
    sys.exit(main(make_tracker=make_tracker))
