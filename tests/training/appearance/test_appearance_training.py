from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shape_scenes import shape_scene

import pose_tracking.training.appearance.data as data_module
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.results import Instances
from pose_tracking.datasets.packed import PackedWriter
from pose_tracking.datasets.sample import Sample
from pose_tracking.segmentation.embedding import load_embedding
from pose_tracking.training.appearance.data import (
    FeatureSource,
    IdentityOptions,
    Observations,
    collect,
    observe,
    recorded_sequences,
)
from pose_tracking.training.appearance.identity_scores import (
    format_table,
    identity_scores,
    lookalikes,
    tint_difference,
    without_nan,
)
from pose_tracking.training.appearance.trainer import (
    AppearanceTraining,
    CosineSoftmax,
    compare,
    embed_all,
    train_appearance,
)
from pose_tracking.training.loop import LoopOptions, read_log

RECIPE = AppearanceTraining(width=16, dimensions=16, batch=64, learning_rate=5e-3)


def observations(sequences: int, seed: int = 0, copies: int = 3, frames: int = 4) -> Observations:
    """Copies of two objects that differ in one faint channel, under louder changes from frame to frame."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for sequence in range(sequences):
        for instance in range(1, 2 * copies + 1):
            obj_id, own, tint = 1 + instance % 2, rng.normal(), np.eye(3) * rng.uniform(0.8, 1.2)
            for frame in range(frames):
                x = rng.normal(0, 0.1, (8, 7, 7))
                x[obj_id] += 3
                x[3] += 0.5 * own
                x[4] += rng.normal() * 3  # the view
                mask = np.zeros((7, 7))
                mask[1:6, 1:6] = 1
                x = np.where(mask > 0, x, rng.normal(0, 5, (8, 1, 1)))
                rows.append((x, mask, obj_id, instance, sequence, frame, tint))
    columns = list(zip(*rows, strict=True))
    return Observations(
        *(np.array(c, np.float16) for c in columns[:2]),
        *(np.array(c, np.int64) for c in columns[2:6]),
        np.array(columns[6], np.float32),
    )


# -- training -------------------------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_tells_copies_apart(tmp_path: Path) -> None:
    train, held_out = observations(12), observations(4, seed=1)
    out = tmp_path / "appearance.safetensors"
    model = train_appearance(
        train, held_out, tmp_path, LoopOptions(steps=120, warmup_steps=5, log_every=10), training=RECIPE, out=out
    )
    assert model is not None
    losses = [r["loss"] for r in read_log(tmp_path / "log.jsonl") if "loss" in r]
    assert losses[-1] < 0.7 * losses[0]
    rows = compare(held_out, model)
    before, after = (rows[n]["auc"]["same_class"] for n in ("pooled features, masked", "embedding, masked"))
    assert after > before + 0.1
    assert after > 0.75
    np.testing.assert_allclose(np.linalg.norm(embed_all(model, held_out), axis=1), 1, atol=1e-5)
    loaded = load_embedding(out)
    np.testing.assert_allclose((embed_all(loaded, held_out) * embed_all(model, held_out)).sum(1), 1, atol=1e-3)


class Kill(Exception):
    """Stands for SIGKILL: nothing of the program runs after it."""


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, held_out = observations(4), observations(2, seed=1)
    options = LoopOptions(steps=24, warmup_steps=3, log_every=4)

    def run(folder: str, resume: bool = False) -> dict[str, torch.Tensor]:
        out = tmp_path / f"{folder}.safetensors"
        done = train_appearance(
            train, held_out, tmp_path / folder, options, training=RECIPE, out=out, resume=resume, seed=3
        )
        assert (done is not None) == out.is_file()
        return load_file(out) if done is not None else {}

    whole = run("whole")
    forward, calls = CosineSoftmax.forward, [0]

    def interrupted(self: CosineSoftmax, *args: torch.Tensor) -> Any:
        calls[0] += 1
        if calls[0] == 9:
            os.kill(os.getpid(), signal.SIGTERM)  # a checkpoint after 9 steps, and no weights
        if calls[0] == 15:
            raise Kill
        return forward(self, *args)

    monkeypatch.setattr(CosineSoftmax, "forward", interrupted)
    assert run("killed") == {}
    with pytest.raises(Kill):
        run("killed", resume=True)
    monkeypatch.undo()
    resumed = run("killed", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    train = observations(2)
    one, two = (
        train_appearance(train, train, tmp_path / str(seed), LoopOptions(steps=2), training=RECIPE, seed=seed)
        for seed in (0, 1)
    )
    assert one is not None
    assert two is not None
    assert not torch.equal(one.project.weight, two.project.weight)


def test_one_instance_is_too_few(tmp_path: Path) -> None:
    few = observations(1, copies=1)
    only = Observations(*(getattr(few, n)[few.instances == 1] for n in few.__dataclass_fields__))
    with pytest.raises(DatasetError, match="1 instance"):
        train_appearance(only, only, tmp_path, LoopOptions(steps=1), training=RECIPE)


def test_lookalikes_compete_within_their_group_only() -> None:
    torch.manual_seed(0)
    classifier = CosineSoftmax(torch.tensor([0, 0, 1, 2]), 8)
    directions = torch.nn.functional.normalize(classifier.weight, dim=1).detach()
    alone = classifier(directions[2:], torch.tensor([2, 3]))[1]
    assert alone.item() == 0  # no look-alikes: nothing to learn
    logits = 10 * directions[:1] @ directions[:2].T
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0]))
    torch.testing.assert_close(classifier(directions[:1], torch.tensor([0]))[1], expected)


# -- scores ---------------------------------------------------------------------------------------------------------


def test_perfect_and_constant_descriptors() -> None:
    found = observations(3)
    perfect = np.eye(found.identities.max() + 1, dtype=np.float32)[found.identities]
    scores = identity_scores(perfect, found, 0.2)
    assert set(scores["auc"].values()) == {1.0}
    assert scores["nearest"] == 1
    assert scores["gate_same"] == 1
    assert scores["gate_others"] == 0
    blind = identity_scores(np.ones_like(perfect[:, :1]), found)
    assert set(blind["auc"].values()) == {0.5}
    assert blind["gate_others"] == 1
    assert blind["nearest_chance"] == pytest.approx(1 / 3)


def test_pairs_are_counted_by_kind() -> None:
    found = observations(1, copies=3, frames=2)
    pairs = identity_scores(np.ones((len(found), 1), np.float32), found)["pairs"]
    assert pairs["same"] == 6  # each of 6 instances in its two frames
    assert pairs["same_class"] == 2 * 3 * 2  # two objects, three pairs of copies, both orders of the two frames
    assert pairs["material_differs"] + pairs["material_alike"] == pairs["same_class"]
    assert pairs["any"] == 15 * 2
    # Every object's most similar other one is the other of the two.
    assert pairs["lookalike_class"] == 9 * 2
    assert lookalikes(found) == {1: 2, 2: 1}


def test_unknown_materials_and_single_objects_leave_cells_empty() -> None:
    found = observations(1)
    found.tints[:] = np.nan
    found.objects[:] = 1
    scores = identity_scores(np.ones((len(found), 1), np.float32), found)
    assert np.isnan(scores["auc"]["material_differs"])
    assert np.isnan(scores["auc"]["lookalike_class"])
    assert " - " in format_table({"x": scores})
    assert without_nan(scores)["auc"]["lookalike_class"] is None


def test_a_change_of_brightness_is_its_difference() -> None:
    assert tint_difference(np.eye(3), 1.1 * np.eye(3)) == pytest.approx(0.1)


# -- data -----------------------------------------------------------------------------------------------------------


class BoxSegmenter:
    """Features that hold the box they were asked for; masks that fill it."""

    calls = 0

    def instances_at(self, frame: Any, boxes: np.ndarray, obj_ids: np.ndarray) -> Instances:
        type(self).calls += 1
        features = np.tile(np.asarray(boxes, np.float32)[:, :, None, None], (1, 1, 7, 7))
        masks = np.ones((len(boxes), *frame.depth.shape), bool)
        return Instances(obj_ids, np.ones(len(boxes), np.float32), boxes.astype(np.float32), masks, features)


def sequence(first: int, stamps: list[int]) -> list[Sample]:
    samples = [shape_scene(first) for _ in stamps]
    return [Sample(replace(s.frame, stamp_ns=t * 10**9), s.objects) for s, t in zip(samples, stamps, strict=True)]


def test_observations_are_taken_at_noisy_boxes_of_visible_instances() -> None:
    samples, options = sequence(0, [1, 2]), IdentityOptions(boxes=3, min_visibility=0.5)
    found = observe(BoxSegmenter(), samples, options, np.random.default_rng(0), {1: 2 * np.eye(3, dtype=np.float32)})
    assert found is not None
    seen = [o for o in samples[0].objects or [] if (o.visibility or 0) >= 0.5]
    assert len(found) == 2 * 3 * len(seen)
    assert set(found.instances) == {o.instance_id for o in seen}
    for entry in seen:
        assert entry.mask is not None
        rows, columns = np.nonzero(entry.mask)
        true = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        off = found.features[found.instances == entry.instance_id][:, :, 0, 0].astype(float) - true
        assert 0 < np.abs(off).mean() < 8
        assert (np.isnan(found.tints[found.instances == entry.instance_id]).all()) == (entry.instance_id != 1)
    assert (found.masks == 1).all()


def test_frames_without_identities_are_refused() -> None:
    samples = sequence(0, [1])
    for entry in samples[0].objects or []:
        entry.instance_id = None
    with pytest.raises(DatasetError, match="no instance ids"):
        observe(BoxSegmenter(), samples, IdentityOptions(), np.random.default_rng(0))
    assert observe(BoxSegmenter(), [Sample(samples[0].frame, [])], IdentityOptions(), np.random.default_rng(0)) is None


def packed(path: Path, samples: list[Sample]) -> Path:
    with PackedWriter(path) as writer:
        for sample in samples:
            writer.add(sample)
    return path


def test_a_new_sequence_begins_where_time_goes_back(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", sequence(0, list(range(1, 25))) + sequence(1, [1, 2, 3]))
    parts = list(recorded_sequences(path, 4))
    assert [len(p) for p in parts] == [4, 3]
    stamps = [s.frame.stamp_ns / 1e9 for s in parts[0]]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] > 12  # spread over the sequence


def test_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [s for first in range(5) for s in sequence(first, [1, 2])]
    path = packed(tmp_path / "a.zip", frames)
    weights = tmp_path / "segmentation.safetensors"
    weights.write_bytes(b"one")
    bundle = SimpleNamespace(segmentation_weights=weights, objects={})
    monkeypatch.setattr(data_module, "_segmenter", lambda source: BoxSegmenter())
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
    monkeypatch.setattr(data_module, "_segmenter", lambda source: BoxSegmenter())
    source = FeatureSource(bundle, IdentityOptions(), data=(path,))  # type: ignore[arg-type]
    collect(source, tmp_path / "run", progress=False)
    broken = next((tmp_path / "run").glob("*/train_00000.npz"))
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"train_00000\.npz: cannot be read"):
        collect(source, tmp_path / "run", progress=False)
