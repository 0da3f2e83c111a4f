"""The pipeline of a node: what it leaves behind in the process."""

from __future__ import annotations

import gc

from pose_tracking.ros.node.loading import load_tracker
from pose_tracking.ros.node.parameters import PARAMETERS


def test_the_garbage_collector_leaves_the_pipeline_alone() -> None:
    gc.unfreeze()
    values = {name: parameter.default for name, parameter in PARAMETERS.items()} | {"device": "cpu"}
    try:
        tracker = load_tracker(values)
        # Its networks are not among what a full collection looks through while frames come.
        looked_through = {id(each) for each in gc.get_objects()}
        assert id(tracker.segmenter) not in looked_through
        assert id(tracker) not in looked_through
    finally:
        gc.unfreeze()
