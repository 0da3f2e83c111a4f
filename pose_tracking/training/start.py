"""Start from the weights of another bundle, whose objects may differ, and average with them at the end."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

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
    found = _read(weights)
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in found.items() if name in own and tensor.shape == own[name].shape}
    if len(fitting) < len(own) / 2:
        raise BundleError(f"{weights}: only {len(fitting)} of {len(own)} tensors fit: weights of another network")
    model.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))


def average_with_start(state: dict[str, Tensor], start: str | Path, share: float) -> dict[str, Tensor]:
    """Average of trained weights and those their training began with (WiSE-FT; Wortsman et al., 2022).

    A fine-tuned network and its start lie in one valley of the loss, and the weights between them often do better
    than either, most of all on what the new frames show little of. Nothing is recomputed: all normalisation has fixed
    statistics, which both share.

    Args:
        state: trained weights.
        start: safetensors file that the training began with.
        share: share of the start in the average, 0 to 1.

    Returns:
        The averaged weights, in the precision of `state`.

    Raises:
        BundleError: unreadable file, or one in which a tensor lacks or has another shape, as of other objects.
    """
    found = _read(start)
    unlike = sorted(name for name in state if name not in found or found[name].shape != state[name].shape)
    if unlike:
        raise BundleError(
            f"{start}: {len(unlike)} tensors do not fit the trained ones ({unlike[0]}), as for other objects: "
            "there is nothing to average"
        )
    return {
        name: value.lerp(found[name].to(value), share) if value.is_floating_point() else value
        for name, value in state.items()
    }


def _read(weights: str | Path) -> dict[str, Tensor]:
    try:
        return load_file(weights)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{weights}: cannot be read as safetensors ({error})") from error
