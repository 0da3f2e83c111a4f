"""The cache of features."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from appearance_sequences import BoxSegmenter, packed, sequence
from synthetic_observations import observations

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


def test_a_short_time_takes_fewer_sequences_and_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that goes on must meet the instances it began with."""
    weights = tmp_path / "segmentation.safetensors"
    weights.write_bytes(b"one")

    class Objects(dict[int, object]):
        has_meshes = True

    bundle = SimpleNamespace(segmentation_weights=weights, objects=Objects())
    made: list[tuple[int, bool]] = []

    def simulate(job: tuple[int, bool]) -> None:
        made.append(job)
        clock[0] += 30.0
        folder = next((tmp_path / "run").glob("features_*"))
        part = observations(1, seed=job[0])
        part.sequences[:] = job[0]
        features_module.save_observations(part, features_module.observation_file(folder, *job))

    clock = [0.0]
    monkeypatch.setattr(features_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(features_module, "_start", lambda source, folder: None)
    monkeypatch.setattr(features_module, "_simulate", simulate)
    options = IdentityOptions(sequences=10, held_out=5)
    source = FeatureSource(bundle, options)  # type: ignore[arg-type]

    def counts(minutes: float | None) -> tuple[int, int]:
        train, held_out = collect(source, tmp_path / "run", progress=False, minutes=minutes)
        return len(set(train.sequences)), len(set(held_out.sequences))

    assert counts(2.0) == (3, 2)  # five of 15, of both kinds
    assert counts(100.0) == (3, 2)
    assert len(made) == 5
    assert counts(None) == (10, 5)
    assert len(made) == len(set(made)) == 15


def test_the_shortest_time_takes_one_sequence_of_each_kind() -> None:
    jobs = features_module._jobs(IdentityOptions(sequences=60, held_out=12))
    assert sorted(jobs) == sorted([(n, False) for n in range(60)] + [(n, True) for n in range(12)])
    taken = [job for job in jobs if not features_module._is_over(0.0, job)]
    assert taken == [(0, False), (0, True)]


def test_a_sequence_that_shows_nothing_is_left_out(tmp_path: Path) -> None:
    """Small things far away have too few pixels now and then."""
    jobs = [(0, False), (1, False), (0, True)]
    features_module.save_observations(None, features_module.observation_file(tmp_path, *jobs[0]))
    features_module.save_observations(None, features_module.observation_file(tmp_path, *jobs[2]))
    seen = observations(3)
    features_module.save_observations(seen, features_module.observation_file(tmp_path, *jobs[1]))
    assert len(features_module.load_observations(tmp_path, jobs, False)) == len(seen)
    with pytest.raises(DatasetError, match="no sequences held out that show an instance"):
        features_module.load_observations(tmp_path, jobs, True)
