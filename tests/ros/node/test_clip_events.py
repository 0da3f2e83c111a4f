"""A clip network beside the rules in the running node: what it says of the tracks comes out on ~/events."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import torch
from node_harness import Harness
from pose_tracking.msg import TrackEventArray
from safetensors.torch import save_file

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.clips.classifier import ClipClassifier
from pose_tracking.networks.clips.small import SmallClipNetwork
from pose_tracking.ros.node.parameters import PARAMETERS
from pose_tracking.ros.node.tracker_node import load_tracker


@pytest.fixture
def network(tmp_path):
    """A network that says 'still' whatever it sees."""
    torch.manual_seed(0)
    small = SmallClipNetwork(2)
    with torch.no_grad():
        small.fc.weight.zero_()
        small.fc.bias.copy_(torch.tensor([0.0, 4.0]))
    classifier = ClipClassifier(small, ("fell", "still"), "small", "trained on nothing")
    path = tmp_path / "clips.safetensors"
    save_file(small.state_dict(), path, classifier.metadata())
    return path


def test_the_node_tells_what_a_clip_network_says(network):
    harness = Harness({"clip_network": str(network), "pipeline.events.clips.every": 2})
    try:
        told: list[TrackEventArray] = []
        harness.node.create_subscription(TrackEventArray, "/tracker/events", told.append, 50)
        harness.wait_active()
        for number in range(22):
            message = harness.play(number % 12, (number + 1) * 100_000_000)
        assert harness.spin(lambda: told and told[-1].header.stamp == message.header.stamp)
        clips = [(e.kind, e.track_id, e.confidence) for m in told for e in m.events if e.kind.startswith("clip:")]
        assert {track for _, track, _ in clips} == {thing.track_id for thing in message.objects} == {1, 2}
        still = [(kind, confidence) for kind, _, confidence in clips if kind == "clip:still"]
        assert len(still) == 2  # told once of each, when it is known
        assert still[0][1] == pytest.approx(1 / (1 + torch.tensor(-4.0).exp().item()), abs=1e-3)
    finally:
        assert harness.close() == 0


def test_a_network_that_is_not_there_is_named(network):
    values = {name: parameter.default for name, parameter in PARAMETERS.items()} | {"device": "cpu"}
    with pytest.raises(BundleError, match="nothing.safetensors: missing: no such clip network"):
        load_tracker(values | {"clip_network": "nothing.safetensors"})
    tracker = load_tracker(values | {"clip_network": str(network)})
    assert tracker.option("pipeline.events.clips.every") == 5
