"""Reading weight files, with every way they can be wrong told in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pose_tracking.core.errors import BundleError


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Fill `network` from a safetensors file; half precision on disk becomes the network's own type.

    Raises:
        BundleError: missing or corrupt file, weights of another network or object set, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"{path}: missing: no such weight file; train it or fetch the bundle again")
    try:
        state = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: corrupt weight file ({reason}); fetch the bundle again") from error
    expected = network.state_dict()
    for name in sorted(set(expected) ^ set(state)):
        problem = "lacks" if name in expected else "has an unexpected"
        raise BundleError(f"{path}: {problem} weight {name}: the weights are of another network")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise BundleError(
                f"{path}: weight {name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}: the "
                "weights are of another network, object set or number of object classes"
            )
        if not torch.isfinite(state[name]).all():
            raise BundleError(f"{path}: weight {name} is not finite: the training run diverged")
    network.load_state_dict(state)


def fingerprint(path: str | Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a weight file: tells whether it is still the one it was."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]
