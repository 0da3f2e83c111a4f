"""The tracker node with the pipeline of `ball_scene` for model "balls"; any other model is the node's own business."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ball_scene import ball_tracker

from pose_tracking.pipeline import PoseTracker
from pose_tracking.ros.node.main import main
from pose_tracking.ros.node.tracker_node import load_tracker


def make_tracker(values: Mapping[str, Any]) -> PoseTracker:
    """The pipeline of parameter ``model``."""
    return ball_tracker() if values["model"] == "balls" else load_tracker(values)


if __name__ == "__main__":
    sys.exit(main(make_tracker=make_tracker))
