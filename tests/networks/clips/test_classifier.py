"""A clip network's file: what is in it comes back, and what is wrong with it is one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.clips.classifier import ClipClassifier, build_network, picture_side
from pose_tracking.networks.clips.inputs import faded, network_input
from pose_tracking.networks.clips.resnext import ResNeXt3D
from pose_tracking.networks.clips.small import SmallClipNetwork, moments
from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.config import InferenceConfig


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return ClipClassifier(SmallClipNetwork(3).eval(), ("fell", "moved", "still"), "small", "trained on nothing")


def _clips(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, 16, 56, 56, 4), dtype=np.uint8)


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


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
@pytest.mark.parametrize("architecture", ["small", "resnext101"])
def test_an_engine_gives_what_the_network_gives(classifier, name, architecture):
    """All of it, at any number of clips, and the network is left as it was."""
    if architecture == "resnext101":
        # As built for 101 layers, but for their number.
        network = ResNeXt3D(3, depth=50).eval()
        classifier = replace(classifier, network=network, architecture=architecture)
    for module in classifier.network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    clips = np.repeat(np.repeat(_clips(3), classifier.side // 56, 2), classifier.side // 56, 3)
    clips[..., 3] = 255 * (clips[..., 3] > 250)
    clips[1, 3:5, ..., 3] = 0  # it may be out of sight for a while
    wanted = classifier.probabilities(clips)
    engine = choose_engine(InferenceConfig(name, "fp32"))
    run = classifier.run_by(engine)
    assert engine.on_torch == []
    np.testing.assert_allclose(run.probabilities(clips), wanted, atol=1e-4)
    np.testing.assert_allclose(run.probabilities(clips[:1]), wanted[:1], atol=1e-4)
    assert run.probabilities(clips[:0]).shape == (0, 3)
    assert not any(module.training for module in classifier.network.modules())
    np.testing.assert_allclose(classifier.probabilities(clips), wanted, atol=1e-6)


def test_the_published_network_is_fed_faded_colours_without_their_mean():
    clips = np.zeros((1, 16, 112, 112, 4), np.uint8)
    clips[..., 1] = 255
    clips[:, :, 50:60, 50:60, 3] = 255
    x = network_input(clips, "resnext101")
    assert x.shape == (1, 3, 16, 112, 112)
    assert x.is_contiguous(memory_format=torch.channels_last_3d)
    assert x[0, :, 0, 55, 55].tolist() == pytest.approx([-114.7748, 255 - 107.7354, -99.475], abs=1e-3)
    grey = 112 * 0.6
    outside = [grey - 114.7748, 255 * 0.4 + grey - 107.7354, grey - 99.475]
    assert x[0, :, 0, 5, 5].tolist() == pytest.approx(outside, abs=0.6)
    assert picture_side("resnext101") == 112


def test_the_small_network_is_fed_the_mask_too():
    clips = np.full((2, 16, 56, 56, 4), 200, np.uint8)
    clips[..., 3] = 0
    clips[:, :, 20:30, 10:30, 3] = 255
    x = network_input(clips, "small")
    assert x.shape == (2, 4, 16, 56, 56)
    assert x[0, 3].sum() == 16 * 200
    assert x[0, 0, 0, 25, 20] == pytest.approx((200 - 114.7748) / 58, abs=1e-3)
    assert picture_side("small") == 56


def test_surroundings_are_faded_but_for_a_rim_and_all_where_there_is_no_mask():
    clip = np.full((2, 56, 56, 4), 250, np.uint8)
    clip[..., 3] = 0
    clip[0, 20:30, 20:30, 3] = 255
    shown = faded(clip)
    colours = shown[..., :3]
    assert (colours[0, 18:32, 18:32] == 250).all()
    dim = round(250 * 0.4 + 112 * 0.6)
    assert (colours[0, :17] == dim).all()
    assert (colours[1] == dim).all()  # what is at the edge of one picture does not reach into the next
    clip[0, 50:, 20:30, 3] = 255
    assert (faded(clip)[1, ..., :3] == dim).all()
    np.testing.assert_array_equal(shown[0, ..., 3], np.pad(np.full((10, 10), 255), ((20, 26), (20, 26))))


def test_moments_of_a_mask_by_hand():
    masks = torch.zeros(1, 3, 101, 101)
    masks[0, 0, 50, 40:61] = 1  # a bar of 21 in the middle
    masks[0, 1, 20:41, 100] = 1  # an upright one at the right edge
    found = moments(masks)[0]
    assert found.shape == (7, 3)
    x, y, size, along_x, along_y, slant, there = found[:, 0].tolist()
    assert (x, y) == pytest.approx((0, 0), abs=1e-5)
    assert size == pytest.approx((21 / 101**2) ** 0.5, abs=1e-4)
    assert along_x == pytest.approx(0.02 * (440 / 12) ** 0.5, abs=1e-4)
    assert along_y < 2e-3
    assert abs(slant) < 1e-3
    assert there == 1
    assert found[:2, 1].tolist() == pytest.approx([1.0, -0.4], abs=1e-5)
    assert found[:, 2].tolist() == [0] * 7
    diagonal = torch.eye(101)[None, None]
    assert moments(diagonal)[0, 5, 0] == pytest.approx(1, abs=1e-4)


def test_where_a_thing_is_matters_to_the_small_network(classifier):
    """Means over the whole picture forget it; a fall differs from a shove by where to."""
    torch.manual_seed(3)
    network = SmallClipNetwork(3).eval()
    high, low = torch.zeros(2, 1, 4, 16, 56, 56)
    high[:, 3, :, 8:16, 24:32] = 1
    low[:, 3, :, 40:48, 24:32] = 1
    with torch.no_grad():
        assert (network(high) - network(low)).abs().max() > 1e-3


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


@pytest.mark.parametrize(
    "classes", ['"abc"', "5", "[]", '["fell", "fell", "still"]', '["fell", 1, "still"]', "nothing"]
)
def test_classes_that_are_no_names_are_refused(tmp_path, classifier, classes):
    path = tmp_path / "clips.safetensors"
    save_file(classifier.network.state_dict(), path, metadata=classifier.metadata() | {"classes": classes})
    with pytest.raises(BundleError, match="is no clip network"):
        ClipClassifier.load(path)


def test_a_network_of_another_depth_is_refused(tmp_path, classifier):
    path = tmp_path / "clips.safetensors"
    metadata = classifier.metadata() | {"architecture": "resnext101"}
    save_file(ResNeXt3D(3, depth=50).state_dict(), path, metadata=metadata)
    with pytest.raises(BundleError, match=r"lacks weight layer3\.10\..*: the weights are of another network"):
        ClipClassifier.load(path)
