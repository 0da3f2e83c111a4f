"""Starting from another object set's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pose_tracking.core.errors import BundleError
from pose_tracking.training.start import average_with_start, load_matching


def network(classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, classes))


def test_all_but_the_class_layer_is_taken(tmp_path: Path) -> None:
    source, target = network(8), network(6)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    before = target.state_dict()["4.weight"].clone()
    assert load_matching(target, tmp_path / "w.safetensors") == ["4.bias", "4.weight"]
    assert torch.equal(target.state_dict()["0.weight"], source.state_dict()["0.weight"])
    assert torch.equal(target.state_dict()["4.weight"], before)


def test_half_precision_files_serve(tmp_path: Path) -> None:
    source, target = network(8), network(8)
    save_file({k: v.half() for k, v in source.state_dict().items()}, tmp_path / "w.safetensors")
    assert load_matching(target, tmp_path / "w.safetensors") == []
    assert target[0].weight.dtype == torch.float32


def test_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(BundleError, match="weights of another network"):
        load_matching(network(8), tmp_path / "w.safetensors")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"rubbish")
    with pytest.raises(BundleError, match=r"w\.safetensors: cannot be read"):
        load_matching(network(8), tmp_path / "w.safetensors")


def test_the_average_lies_between_start_and_end(tmp_path: Path) -> None:
    start, end = network(5).state_dict(), network(5).state_dict()
    save_file({name: tensor.half() for name, tensor in start.items()}, tmp_path / "w.safetensors")
    averaged = average_with_start(end, tmp_path / "w.safetensors", 0.25)
    for name, tensor in averaged.items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, 0.75 * end[name] + 0.25 * start[name].half().float())


def test_other_objects_cannot_be_averaged_with(tmp_path: Path) -> None:
    save_file(network(3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(BundleError, match=r"w.safetensors: 2 tensors do not fit the trained ones \(4.bias\)"):
        average_with_start(network(5).state_dict(), tmp_path / "w.safetensors", 0.5)
