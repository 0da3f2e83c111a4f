"""The 3D-ResNeXt as published: names, shapes and number of its weights, and what it makes of a clip."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from clip_networks import SCORES, WEIGHTS, WEIGHTS_101, fill, waves

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.clips.published import load_published
from pose_tracking.networks.clips.resnext import ResNeXt3D


def test_output_and_size_are_those_of_the_public_code():
    network = ResNeXt3D(3, depth=50).eval()
    fill(network)
    with torch.inference_mode():
        scores = network(waves())[0]
    torch.testing.assert_close(scores, torch.tensor(SCORES), rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in network.parameters()) == WEIGHTS
    assert sum(p.numel() for p in ResNeXt3D(400).parameters()) == WEIGHTS_101


def test_names_and_shapes_of_depth_101():
    state = ResNeXt3D(400).state_dict()
    assert state["conv1.weight"].shape == (64, 3, 7, 7, 7)
    assert state["layer1.0.conv1.weight"].shape == (128, 64, 1, 1, 1)
    assert state["layer1.0.conv2.weight"].shape == (128, 4, 3, 3, 3)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1, 1)
    assert state["layer3.22.conv3.weight"].shape == (1024, 512, 1, 1, 1)
    assert state["layer4.2.conv2.weight"].shape == (1024, 32, 3, 3, 3)
    assert state["fc.weight"].shape == (400, 2048)
    blocks = {name.rsplit(".", 2)[0] for name in state if ".conv1." in name}
    assert len(blocks) == 3 + 4 + 23 + 3
    assert not [name for name in ResNeXt3D(400, shortcut="A").state_dict() if "downsample" in name]


def _save(path, network, **changes):
    state = OrderedDict((f"module.{name}", value) for name, value in network.state_dict().items())
    torch.save({"arch": "resnext", "state_dict": state} | changes, path)
    return path


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_checkpoint_comes_back_whole(tmp_path, shortcut):
    network = ResNeXt3D(7, depth=50, shortcut=shortcut).eval()
    fill(network)
    found = load_published(_save(tmp_path / "r.pth", network), depth=50)
    assert len(found.fc.bias) == 7
    assert not found.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=0, atol=0)


def test_a_checkpoint_of_another_depth_is_one_clear_line(tmp_path):
    path = _save(tmp_path / "resnext-50.pth", ResNeXt3D(4, depth=50))
    with pytest.raises(BundleError, match=r"resnext-50.pth: is a 3D-ResNeXt with 50 layers, not 101: use") as error:
        load_published(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("module.layer2.1.bn1.bias"), "lacks weight layer2.1.bn1.bias"),
        (lambda s: s.update({"module.extra.weight": torch.zeros(1)}), "has an unexpected weight extra.weight"),
        (lambda s: s.update({"module.fc.weight": torch.zeros(4, 9)}), r"weight fc.weight has shape \(4, 9\)"),
        (lambda s: s.update({"module.fc.bias": torch.full((4,), torch.nan)}), "weight fc.bias is not finite"),
        (lambda s: s.clear(), "holds no state dict"),
    ],
)
def test_every_weight_is_used_and_none_is_missing(tmp_path, change, message):
    state = {f"module.{name}": value for name, value in ResNeXt3D(4, depth=50).state_dict().items()}
    change(state)
    torch.save({"state_dict": state}, tmp_path / "r.pth")
    with pytest.raises(BundleError, match=message):
        load_published(tmp_path / "r.pth", depth=50)


def test_of_before_pytorch_0_4_1_the_counters_may_be_missing(tmp_path):
    state = ResNeXt3D(4, depth=50).state_dict()
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / "r.pth")
    load_published(tmp_path / "r.pth", depth=50)


def test_another_network_and_code_in_a_pickle_are_refused(tmp_path):
    torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "linear.pth")
    with pytest.raises(BundleError, match="is no 3D-ResNeXt of cardinality 32"):
        load_published(tmp_path / "linear.pth")
    torch.save({"state_dict": torch.nn.Linear(2, 2)}, tmp_path / "module.pth")
    with pytest.raises(BundleError, match="refused"):
        load_published(tmp_path / "module.pth")
