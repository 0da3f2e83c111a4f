"""The pipeline of a node: what it leaves behind in the process."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from pose_tracking.core import threads
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


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ({}, 2),
        ({"look_ahead": False}, 1),
        ({"segment_every": 5}, 1),
        ({"segment_every": 5, "detector_thread": True}, 2),
        ({"look_ahead": False, "detector_thread": True}, 2),
    ],
)
def test_stages_that_run_beside_each_other_share_the_cores(
    options: dict[str, Any], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told(Exception):
        pass

    def told(count: int | None, at_once: int = 1) -> None:
        raise Told(at_once)

    monkeypatch.setattr(threads, "use_threads", told)
    values = {name: parameter.default for name, parameter in PARAMETERS.items()} | {"device": "cpu"} | options
    with pytest.raises(Told) as raised:
        load_tracker(values)
    assert raised.value.args == (at_once,)
