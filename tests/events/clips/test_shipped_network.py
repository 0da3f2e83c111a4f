"""The clip network of the demo bundle: it is what its file says, and tells rendered clips of fresh seeds apart."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import torch

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.event_networks import build_watchers
from pose_tracking.datasets.clips import Clip
from pose_tracking.networks.clips.classifier import ClipClassifier
from pose_tracking.simulation.clips.people import person_clips
from pose_tracking.simulation.clips.things import thing_clips
from pose_tracking.training.events.data import ORDER


def _sized(clip: Clip, side: int) -> np.ndarray:
    frames = np.concatenate([clip.frames, clip.masks[..., None].astype(np.uint8) * 255], -1)
    return np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in frames])


def test_it_is_used_where_it_is_asked_for_and_says_what_it_was_trained_on():
    bundle = ModelBundle.load("demo")
    assert build_watchers(bundle).clips is None
    asked = build_watchers(bundle.with_clip_network("clips.safetensors"), "cpu").clips
    assert asked is not None
    assert isinstance(asked.classifier, ClipClassifier)
    assert asked.classifier.trained_on == "trained on simulation only"
    assert asked.classifier.classes == ORDER


def test_it_tells_rendered_clips_apart():
    torch.set_num_threads(1)
    bundle = ModelBundle.load("demo")
    classifier = ClipClassifier.load(bundle.path / "clips.safetensors")
    clips = list(thing_clips(bundle.objects, 49001)) + list(itertools.islice(person_clips(49100), 10))
    said = classifier.probabilities([_sized(clip, classifier.side) for clip in clips]).argmax(1)
    right = [classifier.classes[n] == clip.label for n, clip in zip(said, clips, strict=True)]
    assert len({clip.label for clip in clips}) >= 6
    assert np.mean(right) > 0.8, [(clip.label, classifier.classes[n]) for n, clip in zip(said, clips, strict=True)]
