"""Start from the weights of another bundle: its objects differ, what its networks know of images and depth does not."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pose_tracking.core.errors import BundleError


def load_matching(model: nn.Module, weights: str | Path) -> list[str]:
    """Load the tensors of `weights` whose name and shape fit `model`; the others keep their start values.

    Args:
        model: the network to start.
        weights: safetensors file of a network of the same architecture, trained on any object set.

    Returns:
        Names of the tensors that did not fit: the layers that have one output per object, and the depth branch where
        the other network sees colour only.

    Raises:
        BundleError: unreadable file, or one of another architecture (less than half of the tensors fit).
    """
    try:
        found = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{weights}: cannot be read as safetensors ({error})") from error
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in found.items() if name in own and tensor.shape == own[name].shape}
    if len(fitting) < len(own) / 2:
        raise BundleError(f"{weights}: only {len(fitting)} of {len(own)} tensors fit: weights of another network")
    model.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))
