"""Training of the identity embedding: it learns, resumes, and says what it needs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from synthetic_observations import observations

from pose_tracking.core.errors import DatasetError
from pose_tracking.segmentation.embedding import load_embedding
from pose_tracking.training.appearance.observations import Observations
from pose_tracking.training.appearance.trainer import (
    AppearanceTraining,
    CosineSoftmax,
    compare,
    embed_all,
    train_appearance,
)
from pose_tracking.training.log import read_log
from pose_tracking.training.loop import LoopOptions

RECIPE = AppearanceTraining(width=16, dimensions=16, batch=64, learning_rate=5e-3)


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
