"""The pipeline of a node, from the values of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker


def load_tracker(values: Mapping[str, Any]) -> PoseTracker:
    """The pipeline of a model bundle; imports PyTorch only now, so that a node that is not configured is light.

    Args:
        values: of the node's parameters; None for an engine or a precision that nobody has stated.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.garbage import keep_loaded
    from pose_tracking.core.threads import use_threads
    from pose_tracking.pipeline import PoseTracker
    from pose_tracking.pipeline.look_ahead import stages_at_once
    from pose_tracking.pipeline.warming import warm_up

    bundle = ModelBundle.load(values["model"], values["objects"] or None)
    if values["clip_network"]:
        bundle = bundle.with_clip_network(values["clip_network"])
    every = values["segment_every"] if values["segment_every"] != 1 else bundle.config.pipeline.segment_every
    beside = values["detector_thread"] or bundle.config.pipeline.detector_thread
    use_threads(values["threads"], at_once=2 if beside else stages_at_once(every) if values["look_ahead"] else 1)
    tracker = PoseTracker(bundle, values["device"], engine=values["engine"], precision=values["precision"])
    warm_up(tracker)
    keep_loaded()
    return tracker
