from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.errors import BundleError
from pose_tracking.core.results import Instances
from pose_tracking.segmentation.appearance import descriptors, grid_masks, pooled
from pose_tracking.segmentation.embedding import AppearanceEmbedding, load_embedding, trained_for
from pose_tracking.training.checkpoints import export_half

CHANNELS = 12


def network(seed: int = 0) -> AppearanceEmbedding:
    torch.manual_seed(seed)
    model = AppearanceEmbedding(CHANNELS, 16).eval()
    model.mean.normal_()
    model.deviation.uniform_(0.5, 2)
    return model


def random_instances(count: int, seed: int) -> Instances:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 40, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(3, 40, (count, 2))], axis=1).astype(np.float32)
    features = rng.normal(size=(count, CHANNELS, 7, 7)).astype(np.float32)
    return Instances(np.ones(count, np.int64), np.ones(count, np.float32), boxes, rng.random((count, 80, 80)) < 0.5,
                     features)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.floats(0.1, 1e4))
def test_what_lies_outside_of_the_mask_changes_nothing(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3, CHANNELS, 7, 7)).astype(np.float32)
    masks = (rng.random((3, 7, 7)) * (rng.random((3, 7, 7)) < 0.5)).astype(np.float32)
    masks[:, 3, 3] = 1
    background = (rng.normal(size=features.shape) * size).astype(np.float32)
    other = np.where(masks[:, None] > 0, features, background)
    model = network()
    np.testing.assert_array_equal(model.embed(features, masks), model.embed(other, masks))
    np.testing.assert_array_equal(pooled(features, masks), pooled(other, masks))


def test_the_object_itself_does_change_it() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1, CHANNELS, 7, 7)).astype(np.float32)
    masks = np.ones((1, 7, 7), np.float32)
    model = network()
    assert (model.embed(features, masks) @ model.embed(features[..., ::-1].copy(), masks * 0.5).T).item() < 0.9999


@pytest.mark.parametrize("count", [0, 1, 5])
def test_embeddings_are_unit_vectors(count: int) -> None:
    instances = random_instances(count, count)
    out = descriptors(instances, network())
    assert out.shape == (count, 128)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)


def test_an_empty_mask_falls_back_to_the_box() -> None:
    instances = random_instances(2, 3)
    instances.masks[:] = False
    model = network()
    assert grid_masks(instances).sum() == 0
    full = model.embed(instances.roi_features, np.ones((2, 7, 7), np.float32))
    np.testing.assert_allclose(descriptors(instances, model), full, atol=1e-6)


def test_an_instance_does_not_depend_on_the_others() -> None:
    instances, model = random_instances(4, 1), network()
    alone = np.concatenate([descriptors(instances.select(np.array([i])), model) for i in range(4)])
    np.testing.assert_allclose(descriptors(instances, model), alone, atol=1e-5)


def test_weights_come_back_from_their_file(tmp_path: Path) -> None:
    path, model, instances = tmp_path / "appearance.safetensors", network(), random_instances(3, 2)
    export_half(model.state_dict(), path, {"detector": "0123abcd"})
    again = load_embedding(path)
    assert again.channels == CHANNELS
    assert trained_for(path) == "0123abcd"
    similarity = (descriptors(instances, again) * descriptors(instances, model)).sum(1)
    np.testing.assert_allclose(similarity, 1, atol=1e-3)


def test_features_of_another_detector_are_refused() -> None:
    with pytest.raises(BundleError, match="12 feature channels, the detector gives 5"):
        network().embed(np.zeros((1, 5, 7, 7), np.float32), np.ones((1, 7, 7), np.float32))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "missing"), (b"rubbish", "not the weights of an appearance embedding"), ({"other": 3}, "not the weights")],
)
def test_a_file_that_is_no_embedding_is_refused(tmp_path: Path, content: object, complaint: str) -> None:
    path = tmp_path / "appearance.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        export_half({"other": torch.zeros(3)}, path)
    with pytest.raises(BundleError, match=complaint) as error:
        load_embedding(path)
    assert "\n" not in str(error.value)
