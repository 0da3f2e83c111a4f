"""The clip network in the pipeline: asked for by the bundle, beside the rules, and forgotten with the tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Scene, TruthEstimator, at
from safetensors.torch import save_file

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.config import from_mapping
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.clips.classifier import ClipClassifier
from pose_tracking.networks.clips.small import SmallClipNetwork
from pose_tracking.pipeline import PoseTracker

OPTIONS = {"pipeline": {"events": {"clips": {"network": "clips.safetensors", "every": 2, "min_probability": 0.0}}}}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory):
    return write_objects(tmp_path_factory.mktemp("objects"))


def _bundle(folder: Path, objects, **metadata: str) -> ModelBundle:
    torch.manual_seed(0)
    classifier = ClipClassifier(SmallClipNetwork(3), ("fell", "moved", "still"), "small", "nothing")
    save_file(classifier.network.state_dict(), folder / "clips.safetensors", classifier.metadata() | metadata)
    return ModelBundle(folder, from_mapping(BundleConfig, {"name": "blocks", **OPTIONS}, "bundle.yaml"), objects)


def _stream(bundle: ModelBundle, objects) -> Scene:
    scene = Scene(objects)
    scene.tracker = PoseTracker(bundle, segmenter=scene.truth, estimator=TruthEstimator(scene.truth))
    return scene


def test_every_track_is_looked_at_beside_the_rules(tmp_path, objects):
    scene = _stream(_bundle(tmp_path, objects), objects)
    placed = [(STEPS, at(-0.1)), (LAMP, at(0.1))]
    changes: list[int] = []
    for _ in range(24):
        things = scene.tracker.update(scene.frame(placed))
        report = scene.tracker.report
        changes += list(report.clip_changes)
        assert "clips" in report.seconds
    assert set(report.clips) == {thing.track_id for thing in things}
    assert {said.label for said in report.clips.values()} <= {"fell", "moved", "still"}
    for said in report.clips.values():
        assert said.end_ns - said.onset_ns == 1_500_000_000
    assert set(changes) == set(report.clips)
    assert report.activity_since  # the rules' answer is there, too
    scene.tracker.reset()
    scene.tracker.update(scene.frame(placed))
    assert scene.tracker.report.clips == {}


def test_without_a_network_nothing_is_kept(objects):
    scene = Scene(objects)
    scene.tracker.update(scene.frame([(STEPS, at(0.0))]))
    assert scene.tracker.report.clips == {}
    assert "clips" not in scene.tracker.report.seconds


def test_events_that_are_switched_on_later_have_their_network(tmp_path, objects):
    bundle = _bundle(tmp_path, objects)
    pipeline = bundle.config.pipeline
    off = replace(pipeline, events=replace(pipeline.events, enabled=False))
    scene = _stream(bundle.with_config(replace(bundle.config, pipeline=off)), objects)
    placed = [(STEPS, at(0.0))]
    for _ in range(4):
        scene.tracker.update(scene.frame(placed))
    assert scene.tracker.report.clips == {}
    scene.tracker.configure(**{"pipeline.events.enabled": True})
    for _ in range(24):
        scene.tracker.update(scene.frame(placed))
    assert scene.tracker.report.clips


def test_a_network_that_is_missing_is_named(tmp_path, objects):
    bundle = _bundle(tmp_path, objects)
    (tmp_path / "clips.safetensors").unlink()
    with pytest.raises(BundleError, match="missing: no such clip network"):
        _stream(bundle, objects)


def test_a_published_checkpoint_has_no_names_of_its_classes(tmp_path, objects):
    bundle = _bundle(tmp_path, objects)
    torch.save({"state_dict": {"module.fc.bias": torch.zeros(400)}}, tmp_path / "clips.safetensors")
    with pytest.raises(BundleError, match="is no clip network .*; write one with train events"):
        _stream(bundle, objects)


def test_a_frame_whose_memory_is_used_again_does_not_change_the_clip(tmp_path, objects):
    bundle = _bundle(tmp_path, objects)
    said = []
    for reuse in (False, True):
        scene = _stream(bundle, objects)
        for _ in range(20):
            frame = scene.frame([(STEPS, at(0.0))])
            scene.tracker.update(frame)
            if reuse:
                np.asarray(frame.color)[:] = 0
        said.append([each.probability for each in scene.tracker.report.clips.values()])
    assert said[0] == pytest.approx(said[1], abs=1e-6)
