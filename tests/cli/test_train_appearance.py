"""What `train appearance` puts into a bundle: an embedding that is better than the pooled features, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.finding import find_bundle
from pose_tracking.cli.train_appearance import _report
from pose_tracking.networks.weights import fingerprint
from pose_tracking.segmentation.embedding import AppearanceEmbedding
from pose_tracking.training.appearance.identity_scores import COLUMNS
from pose_tracking.training.checkpoints import export_half


def embedding(path: Path, channels: int, detector: str) -> Path:
    """An untrained embedding; the number of its channels says which it is."""
    export_half(AppearanceEmbedding(channels).state_dict(), path, {"detector": detector})
    return path


def bundle_in(folder: Path) -> ModelBundle:
    path = folder / "mine"
    shutil.copytree(find_bundle("demo"), path, ignore=shutil.ignore_patterns("*.safetensors"))
    (path / "segmentation.safetensors").write_bytes(b"weights of some detector")
    return ModelBundle.load(path, require_weights=False)


def rows(pooled: float, embedded: float) -> dict[str, dict[str, Any]]:
    def scores(auc: float) -> dict[str, Any]:
        others = dict.fromkeys(("nearest", "nearest_chance", "gate", "gate_same", "gate_others"), 0.25)
        return {"auc": dict.fromkeys(COLUMNS, auc), **others}

    return {"pooled features, masked": scores(pooled), "embedding, masked": scores(embedded)}


def channels_in(bundle: ModelBundle) -> int | None:
    found = ModelBundle.load(bundle.path, require_weights=False).build_appearance()
    return None if found is None else found.channels


def test_an_embedding_that_is_better_goes_into_the_bundle_with_its_gate(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    weights = embedding(tmp_path / "new.safetensors", 8, fingerprint(bundle.segmentation_weights))
    _report(rows(0.8, 0.9), tmp_path, bundle, weights)
    assert channels_in(bundle) == 8
    assert ModelBundle.load(bundle.path, require_weights=False).config.tracking.embedding_gate == 0.25


@pytest.mark.parametrize("embedded", [0.8, 0.7, float("nan")])
def test_one_that_is_no_better_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], embedded: float
) -> None:
    bundle = bundle_in(tmp_path)
    config = (bundle.path / "bundle.yaml").read_text()
    weights = embedding(tmp_path / "new.safetensors", 8, fingerprint(bundle.segmentation_weights))
    _report(rows(0.8, embedded), tmp_path, bundle, weights)
    assert channels_in(bundle) is None
    assert (bundle.path / "bundle.yaml").read_text() == config
    assert weights.is_file()
    assert f"not taken into {bundle.path}" in capsys.readouterr().out


def test_what_the_bundle_had_stays_where_it_fits_the_detector_and_goes_where_it_does_not(tmp_path: Path) -> None:
    bundle = bundle_in(tmp_path)
    detector = fingerprint(bundle.segmentation_weights)
    weights = embedding(tmp_path / "new.safetensors", 8, detector)
    embedding(bundle.appearance_weights, 16, detector)
    _report(rows(0.8, 0.7), tmp_path, bundle, weights)
    assert channels_in(bundle) == 16
    embedding(bundle.appearance_weights, 16, "0" * 16)
    _report(rows(0.8, 0.7), tmp_path, bundle, weights)
    assert channels_in(bundle) is None


def test_a_file_of_its_own_is_written_whatever_it_is_worth(tmp_path: Path) -> None:
    weights = embedding(tmp_path / "new.safetensors", 8, "0" * 16)
    _report(rows(0.8, 0.7), tmp_path, None, weights)
    assert weights.is_file()
