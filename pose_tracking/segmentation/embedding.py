"""A trained identity embedding on the detector's RoIAlign features, so that look-alike instances can be told apart.

The published appearance network of Deep SORT (Wojke & Bewley 2018, arXiv:1812.00442) sees image crops of pedestrians;
this one starts from features the detector has computed anyway, and costs about a millisecond a frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.core.arrays import Float32
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.weights import load_weights

DIMENSIONS = 128
_EPSILON = 1e-3


class AppearanceEmbedding(nn.Module):
    """(N, C, S, S) RoIAlign features and (N, S, S) masks -> (N, `dimensions`) unit vectors.

    The features of a cell count as far as the mask covers it, from the first layer on: what lies outside of the mask
    cannot change the result. Two convolutions look at patterns over neighbouring cells; mean and maximum over the
    object forget where in the box a pattern was, because the same object fills its box differently from view to view.

    Args:
        channels: C of the features.
        width: channels of the hidden layers.
        dimensions: length of the embedding.
    """

    def __init__(self, channels: int, width: int = 64, dimensions: int = DIMENSIONS) -> None:
        super().__init__()
        self.channels, self.dimensions = channels, dimensions
        # Set from the training features: the pyramid's channels differ in size by a factor of ten.
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.reduce = nn.Conv2d(channels, width, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in range(3))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.project = nn.Linear(channels + 2 * width, dimensions)

    mean: Tensor
    deviation: Tensor

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        covered = masks.flatten(1).sum(1) > _EPSILON
        # Nothing to go by but the box where the mask is empty.
        share = torch.where(covered[:, None, None], masks, torch.ones_like(masks))[:, None]
        area = share.sum((2, 3))
        x = (features - self.mean[:, None, None]) / self.deviation[:, None, None] * share
        parts = [x.sum((2, 3)) / area]
        x = F.relu(self.norms[0](self.reduce(x))) * share
        for convolution, norm in zip(self.convolutions, self.norms[1:], strict=True):
            x = x + F.relu(norm(convolution(x))) * share
        parts += [x.sum((2, 3)) / area, x.amax((2, 3))]
        return F.normalize(self.project(torch.cat(parts, 1)), dim=1)

    @torch.inference_mode()
    def embed(self, features: Float32, masks: Float32) -> Float32:
        """The same for arrays, on the device of the weights.

        Raises:
            BundleError: the features are of another detector.
        """
        if features.shape[1] != self.channels:
            raise BundleError(
                f"the appearance weights are for {self.channels} feature channels, the detector gives "
                f"{features.shape[1]}: repeat `train appearance`"
            )
        if not len(features):
            return np.zeros((0, self.dimensions), np.float32)
        device = self.mean.device
        out = self(torch.from_numpy(features).to(device), torch.from_numpy(masks).to(device))
        return np.asarray(out.float().cpu().numpy(), np.float32)


def load_embedding(path: str | Path, device: torch.device | str = "cpu") -> AppearanceEmbedding:
    """The embedding of a weight file, whose tensors tell its sizes.

    Raises:
        BundleError: missing or corrupt file, or weights of another network.
    """
    try:
        with safe_open(path, "pt") as file:
            width, channels = file.get_slice("reduce.weight").get_shape()[:2]
            dimensions = file.get_slice("project.weight").get_shape()[0]
    except FileNotFoundError as error:
        raise BundleError(f"{path}: missing: no such weight file; run `train appearance`") from error
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: not the weights of an appearance embedding ({reason})") from error
    model = AppearanceEmbedding(channels, width, dimensions)
    load_weights(model, path)
    return model.to(device).eval()


def trained_for(path: str | Path) -> str | None:
    """Fingerprint of the detector weights that an embedding was trained on, or None where its file does not say."""
    return noted(path).get("detector")


def noted(path: str | Path) -> dict[str, str]:
    """What a weight file says of itself."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}
