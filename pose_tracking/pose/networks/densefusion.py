"""Checkpoints of the public DenseFusion code (Wang et al., CVPR 2019) as networks of this package.

The files are pickles, read as plain weights: what else a file asks for is refused before anything of it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.checkpoints import read_pickle

from .network import PoseNet
from .refiner import PoseRefineNet

ENCODER = "pspnet_resnet18"
# The colour network was wrapped for several GPUs when it was saved, or not.
ENCODER_PREFIXES = ("cnn.model.module.", "cnn.model.")
# A classification branch of PSPNet that is saved with the network but that its forward pass never uses.
UNUSED = frozenset(f"cnn.classifier.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias"))
# Last layers and their outputs per object.
ESTIMATOR_OUTPUTS = {"conv4_r": 4, "conv4_t": 3, "conv4_c": 1}
REFINER_OUTPUTS = {"conv3_r": 4, "conv3_t": 3}

FIX = "fetch the checkpoint again, or save the network's state_dict() with torch.save where you trust the file"

PathLike = str | Path


def load_densefusion(pose_path: PathLike, refiner_path: PathLike, num_objects: int) -> tuple[PoseNet, PoseRefineNet]:
    """Networks from a pair of published checkpoints, on the CPU, in evaluation mode and single precision.

    ``pose_net(image, points, choose, object_index)`` takes colour crops (B, 3, H, W), H and W multiples of 8,
    normalised by the caller (the published weights: ImageNet mean and deviation applied to 0..255 values), points
    (B, N, 3) in metres, (B, N) pixels ``row * W + column`` and (B,) outputs, counted from 0 in the order of the
    training. It gives rotations (B, N, 4) as quaternions wxyz, not normalised; translations (B, N, 3), offsets to which
    the point is yet to be added; confidences (B, N, 1); and the colour embedding (B, 32, N).

    ``refiner(points, embedding, object_index)`` takes (B, N, 3) points in the frame of the pose so far and gives the
    residual rotation (B, 4) and translation (B, 3) in the same way.

    Args:
        pose_path: ``pose_model_*.pth``, in PyTorch's zip format or in the one before version 1.6.
        refiner_path: ``pose_refine_model_*.pth``.
        num_objects: objects the networks were trained for (LineMOD 13, YCB-Video 21).

    Raises:
        BundleError: a file is missing, damaged, wants more than tensors, or is of another network or number of objects.
    """
    if isinstance(num_objects, bool) or not isinstance(num_objects, int) or num_objects < 1:
        raise BundleError(f"num_objects = {num_objects!r}: must be a whole number from 1, the objects of the training")
    estimator = _estimator_weights(read_checkpoint(pose_path), Path(pose_path))
    refiner = _refiner_weights(read_checkpoint(refiner_path), Path(refiner_path))
    _check_outputs(estimator, ESTIMATOR_OUTPUTS, num_objects, Path(pose_path))
    _check_outputs(refiner, REFINER_OUTPUTS, num_objects, Path(refiner_path))
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        pose_net, refine_net = PoseNet(num_objects), PoseRefineNet(num_objects)
    _fill(pose_net, estimator, Path(pose_path))
    _fill(refine_net, refiner, Path(refiner_path))
    return pose_net, refine_net


def select_outputs(network: PoseNet | PoseRefineNet, order: Sequence[int]) -> dict[str, Tensor]:
    """Weights of `network` for some of its objects: new output i is the old output ``order[i]``."""
    heads = ESTIMATOR_OUTPUTS if isinstance(network, PoseNet) else REFINER_OUTPUTS
    state = dict(network.state_dict())
    for name in (f"{head}.{kind}" for head in heads for kind in ("weight", "bias")):
        rows = state[name].unflatten(0, (network.num_objects, -1))
        state[name] = rows[list(order)].flatten(0, 1)
    return state


def read_checkpoint(path: PathLike) -> dict[str, Tensor]:
    """The tensors by name of a file that ``torch.save(network.state_dict(), path)`` wrote, in any of its formats.

    Nothing in the file is executed.

    Raises:
        BundleError: the file is missing, empty, damaged, or holds anything else.
    """
    path = Path(path)
    return _tensors(read_pickle(path, FIX), path)


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise BundleError(f"{path}: holds a {type(content).__name__}, not the weights by name of a state_dict()")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise BundleError(
                f"{path}: entry {str(name)[:60]!r} is a {type(value).__name__}, not a weight; save the network's "
                "state_dict() by itself"
            )
        if not value.is_floating_point() or value.layout != torch.strided or value.is_quantized:
            raise BundleError(f"{path}: weight {name} is {value.dtype} {value.layout}, not floating point")
        if not torch.isfinite(value).all():
            raise BundleError(f"{path}: weight {name} is not finite; fetch the checkpoint again")
    return {name: value.detach().float().contiguous() for name, value in content.items()}


def _estimator_weights(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """`state` by the names of `PoseNet`, without what the forward pass does not use."""
    if "conv4_r.weight" not in state and "conv3_r.weight" in state:
        raise BundleError(f"{path}: is a refiner's checkpoint, not an estimator's; give POSE first, then REFINER")
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        prefix = next((p for p in ENCODER_PREFIXES if name.startswith(p)), None)
        new = name if prefix is None else "cnn." + name[len(prefix) :]
        if new in renamed:
            raise BundleError(f"{path}: has two weights for {new}; save the state_dict() of one network")
        renamed[new] = value
    return {name: value for name, value in renamed.items() if name not in UNUSED}


def _refiner_weights(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    if "conv4_r.weight" in state:
        raise BundleError(f"{path}: is an estimator's checkpoint, not a refiner's; give POSE first, then REFINER")
    return dict(state)


def _check_outputs(state: Mapping[str, Tensor], heads: Mapping[str, int], num_objects: int, path: Path) -> None:
    """The likeliest mistake, another number of objects, told as such rather than as a wrong shape."""
    for head, outputs in heads.items():
        weight = state.get(f"{head}.weight")
        if weight is None or weight.ndim == 0 or weight.shape[0] == num_objects * outputs:
            continue
        if weight.shape[0] % outputs == 0:
            found = weight.shape[0] // outputs
            raise BundleError(
                f"{path}: is for {found} objects ({head}.weight has {weight.shape[0]} rows), {num_objects} were given; "
                f"give the {found} objects of its training, in their order"
            )


def _fill(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Give `network`, built without memory, the weights `state`; then ready for inference."""
    kind = "estimator" if isinstance(network, PoseNet) else "refiner"
    expected = network.state_dict()
    missing = [name for name in expected if name not in state]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BundleError(f"{path}: lacks weight {missing[0]}{more}: not a checkpoint of the DenseFusion {kind}")
    unknown = [name for name in state if name not in expected]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise BundleError(
            f"{path}: has unknown weight {unknown[0]}{more}: not a checkpoint of the published DenseFusion {kind}"
        )
    for name, weight in expected.items():
        if state[name].shape != weight.shape:
            raise BundleError(
                f"{path}: weight {name} has shape {tuple(state[name].shape)}, the DenseFusion {kind} has "
                f"{tuple(weight.shape)}: a checkpoint of another network"
            )
    network.load_state_dict(state, assign=True)
    network.requires_grad_(True).eval()
