"""A clip network's file: what is in it comes back, and what is wrong with it is one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.clips.classifier import ClipClassifier, build_network, normalised
from pose_tracking.networks.clips.small import SmallClipNetwork


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return ClipClassifier(SmallClipNetwork(3).eval(), ("fell", "moved", "still"), "small", "trained on nothing")


def _clips(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, 16, 112, 112, 3), dtype=np.uint8)


def test_a_file_gives_back_network_and_classes(tmp_path, classifier):
    path = tmp_path / "clips.safetensors"
    save_file(classifier.network.state_dict(), path, metadata=classifier.metadata())
    found = ClipClassifier.load(path)
    assert (found.classes, found.architecture) == (classifier.classes, "small")
    assert found.trained_on == "trained on nothing"
    clips = _clips(2)
    np.testing.assert_allclose(found.probabilities(clips), classifier.probabilities(clips), atol=1e-6)


def test_a_batch_gives_what_each_clip_alone_gives(classifier):
    clips = _clips(5)
    together = classifier.probabilities(clips)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    alone = np.concatenate([classifier.probabilities(clip[None]) for clip in clips])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert classifier.probabilities(clips[:0]).shape == (0, 3)


def test_the_mean_colour_is_taken_off():
    clips = torch.zeros(1, 16, 4, 4, 3, dtype=torch.uint8)
    clips[..., 1] = 255
    x = normalised(clips)
    assert x.shape == (1, 3, 16, 4, 4)
    assert x[0, :, 0, 0, 0].tolist() == pytest.approx([-114.7748, 255 - 107.7354, -99.475], abs=1e-3)


def test_the_small_network_sees_the_order_of_the_pictures(classifier):
    clips = _clips(1)
    assert np.abs(classifier.probabilities(clips) - classifier.probabilities(clips[:, ::-1])).max() > 1e-4


def test_files_of_something_else_are_one_line(tmp_path, classifier):
    path = tmp_path / "clips.safetensors"
    with pytest.raises(BundleError, match="missing: no such clip network; write one with train events"):
        ClipClassifier.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="is no clip network"):
        ClipClassifier.load(path)
    save_file(classifier.network.state_dict(), path)
    with pytest.raises(BundleError, match="is no clip network"):
        ClipClassifier.load(path)
    wrong = build_network("small", 4).state_dict()
    save_file(wrong, path, metadata=classifier.metadata())
    with pytest.raises(BundleError, match="fc.weight has shape"):
        ClipClassifier.load(path)
