"""Checkpoints of the public 3D-ResNeXt code (kenshohara/3D-ResNets-PyTorch, CVPR2018) as networks of this package.

Depth, shortcut type and number of classes follow from the shapes of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.checkpoints import read_pickle

from .resnext import BLOCKS, CARDINALITY, WIDTHS, ResNeXt3D

FIX = "fetch the checkpoint again, or save the network's state_dict() with torch.save where you trust the file"
PREFIX = "module."  # of networks that were trained on several GPUs
COUNTER = ".num_batches_tracked"  # of batch normalisation; nothing of before PyTorch 0.4.1 has it


def load_published(path: str | Path, depth: int = 101) -> ResNeXt3D:
    """The network of a published checkpoint, on the CPU, in evaluation mode.

    Args:
        path: e.g. ``resnext-101-kinetics.pth``, or a plain state dict.
        depth: layers that it has to have.

    Raises:
        BundleError: the file is missing, damaged, wants more than tensors, or holds a network of another kind or depth.
    """
    path = Path(path)
    weights = _weights(read_pickle(path, FIX), path)
    found = _blocks(weights)
    grouped = weights.get("layer1.0.conv2.weight")
    if grouped is None or grouped.shape != (WIDTHS[0], WIDTHS[0] // CARDINALITY, 3, 3, 3):
        raise BundleError(f"{path}: is no 3D-ResNeXt of cardinality {CARDINALITY}: use another checkpoint")
    if found != BLOCKS[depth]:
        depths = [f"{d} layers" for d, blocks in BLOCKS.items() if blocks == found]
        what = depths[0] if depths else f"stages of {', '.join(map(str, found))} blocks"
        raise BundleError(f"{path}: is a 3D-ResNeXt with {what}, not {depth}: use a checkpoint of that depth")
    if "fc.bias" not in weights:
        raise BundleError(f"{path}: lacks weight fc.bias: it is no whole network; {FIX}")
    shortcut = "B" if "layer1.0.downsample.0.weight" in weights else "A"
    network = ResNeXt3D(len(weights["fc.bias"]), depth, shortcut)
    _fill(network, weights, path)
    return network.eval()


def _weights(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the names of the network's own parameters."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise BundleError(f"{path}: holds no state dict; {FIX}")
    names = [str(name) for name in content]
    wrapped = all(name.startswith(PREFIX) for name in names)
    return {str(name).removeprefix(PREFIX) if wrapped else str(name): value for name, value in content.items()}


def _blocks(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Number of blocks of each stage."""
    return tuple(
        len({name.split(".")[1] for name in weights if name.startswith(f"layer{stage}.")})
        for stage in range(1, len(WIDTHS) + 1)
    )


def _fill(network: ResNeXt3D, weights: dict[str, Tensor], path: Path) -> None:
    own = network.state_dict()
    for name in sorted(set(own) ^ set(weights)):
        if name in own and name.endswith(COUNTER):
            weights[name] = own[name]
            continue
        problem = "lacks" if name in own else "has an unexpected"
        raise BundleError(f"{path}: {problem} weight {name}: it is of another network")
    for name, tensor in own.items():
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
            raise BundleError(f"{path}: weight {name} has shape {shapes}: it is of another network")
        if not torch.isfinite(weights[name].float()).all():
            raise BundleError(f"{path}: weight {name} is not finite; {FIX}")
    network.load_state_dict(weights)
