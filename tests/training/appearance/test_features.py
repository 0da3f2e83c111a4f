"""The cache of features."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from appearance_sequences import BoxSegmenter, packed, sequence

from pose_tracking.core.errors import DatasetError
from pose_tracking.training.appearance import features as features_module
from pose_tracking.training.appearance.features import FeatureSource, collect
from pose_tracking.training.appearance.observations import IdentityOptions


def test_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [s for first in range(5) for s in sequence(first, [1, 2])]
    path = packed(tmp_path / "a.zip", frames)
    weights = tmp_path / "segmentation.safetensors"
    weights.write_bytes(b"one")
    bundle = SimpleNamespace(segmentation_weights=weights, objects={})
    monkeypatch.setattr(features_module, "_segmenter", lambda source: BoxSegmenter())
    monkeypatch.setattr(BoxSegmenter, "calls", 0)
    source = FeatureSource(bundle, IdentityOptions(), data=(path,))  # type: ignore[arg-type]
    train, held_out = collect(source, tmp_path / "run", progress=False)
    assert BoxSegmenter.calls == 10
    assert set(train.sequences) == {0, 1, 2, 3}
    assert set(held_out.sequences) == {4}
    again, _ = collect(source, tmp_path / "run", progress=False)
    assert BoxSegmenter.calls == 10
    np.testing.assert_array_equal(again.features, train.features)
    weights.write_bytes(b"another detector")
    collect(source, tmp_path / "run", progress=False)
    assert BoxSegmenter.calls == 20


def test_a_damaged_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "a.zip", [s for first in range(3) for s in sequence(first, [1, 2])])
    weights = tmp_path / "segmentation.safetensors"
    weights.write_bytes(b"one")
    bundle = SimpleNamespace(segmentation_weights=weights, objects={})
    monkeypatch.setattr(features_module, "_segmenter", lambda source: BoxSegmenter())
    source = FeatureSource(bundle, IdentityOptions(), data=(path,))  # type: ignore[arg-type]
    collect(source, tmp_path / "run", progress=False)
    broken = next((tmp_path / "run").glob("*/train_00000.npz"))
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"train_00000\.npz: cannot be read"):
        collect(source, tmp_path / "run", progress=False)
