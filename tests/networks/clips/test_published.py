"""Our 3D-ResNeXt against the public code, under the same weights, where a checkout of that is at hand.

KENSHOHARA_3D_RESNETS names a folder with kenshohara/3D-ResNets-PyTorch, branch CVPR2018 (its master builds none).
"""

from __future__ import annotations

import importlib
import os
import sys

import pytest
import torch
from clip_networks import SCORES, WEIGHTS, WEIGHTS_101, fill, waves
from torch import nn

from pose_tracking.networks.clips.published import load_published

CHECKOUT = os.environ.get("KENSHOHARA_3D_RESNETS", "")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="KENSHOHARA_3D_RESNETS names no checkout of the public code")


@pytest.fixture
def public(monkeypatch):
    """The module with the public 3D-ResNeXt."""

    def forget() -> None:
        for name in [n for n in sys.modules if n.split(".")[0] in ("models", "utils")]:
            del sys.modules[name]

    monkeypatch.syspath_prepend(CHECKOUT)
    forget()
    yield importlib.import_module("models.resnext")
    forget()


def _network(public, depth: int, shortcut: str, classes: int = 400) -> nn.Module:
    make = getattr(public, f"resnet{depth}")
    return make(num_classes=classes, shortcut_type=shortcut, sample_size=112, sample_duration=16).eval()


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_checkpoint_gives_what_the_public_code_gives(public, tmp_path, shortcut, wrapped):
    torch.manual_seed(3)
    theirs = _network(public, 101, shortcut)
    for name, tensor in theirs.state_dict().items():  # statistics that are not those of a fresh network
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    state = {f"module.{k}" if wrapped else k: v for k, v in theirs.state_dict().items()}
    path = tmp_path / "resnext-101.pth"
    torch.save({"arch": "resnext-101", "epoch": 1, "state_dict": state, "optimizer": {"state": {}}}, path)
    ours = load_published(path)
    clips = torch.randn(1, 3, 16, 112, 112)
    with torch.inference_mode():
        expected, found = theirs(clips), ours(clips)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_the_numbers_of_the_self_contained_test_are_those_of_the_public_code(public):
    network = _network(public, 50, "B", classes=3)
    fill(network)
    with torch.inference_mode():
        scores = network(waves())[0]
    torch.testing.assert_close(scores, torch.tensor(SCORES), rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in network.parameters()) == WEIGHTS
    assert sum(p.numel() for p in _network(public, 101, "B").parameters()) == WEIGHTS_101
