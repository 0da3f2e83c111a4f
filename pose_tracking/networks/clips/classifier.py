"""A network for clips with the names of its classes: one file, and what it says of a batch of clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.weights import load_weights

from .inputs import network_input
from .resnext import ResNeXt3D
from .shape import SIDE
from .small import SmallClipNetwork

ARCHITECTURES = ("small", "resnext101")


def build_network(architecture: str, classes: int) -> nn.Module:
    """An untrained network of one of `ARCHITECTURES`."""
    if architecture == "small":
        return SmallClipNetwork(classes)
    if architecture == "resnext101":
        return ResNeXt3D(classes)
    raise ValueError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")


def picture_side(architecture: str) -> int:
    """Pixels of the square pictures that a network looks at."""
    return SmallClipNetwork.SIDE if architecture == "small" else SIDE


@dataclass(frozen=True, eq=False)
class ClipClassifier:
    """A trained network.

    Attributes:
        network: in evaluation mode.
        classes: names of its outputs.
        architecture: one of `ARCHITECTURES`.
        trained_on: what its weights were trained on, for people.
    """

    network: nn.Module
    classes: tuple[str, ...]
    architecture: str
    trained_on: str = ""

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> ClipClassifier:
        """Read a file that `train events` has written.

        Raises:
            BundleError: missing, corrupt, or of another kind of network.
        """
        path = Path(path)
        if not path.is_file():
            raise BundleError(f"{path}: missing: no such clip network; write one with train events")
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
            classes = tuple(map(str, json.loads(metadata["classes"])))
            architecture = metadata["architecture"]
            network = build_network(architecture, len(classes))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BundleError(f"{path}: is no clip network ({reason}); write one with train events") from error
        load_weights(network, path)
        return cls(network.to(device).eval(), classes, architecture, metadata.get("trained_on", ""))

    @property
    def side(self) -> int:
        """Pixels of the pictures it looks at."""
        return picture_side(self.architecture)

    @torch.inference_mode()
    def probabilities(self, clips: UInt8 | Sequence[UInt8]) -> Float32:
        """(B, classes) of clips (B, 16, side, side, 4): RGB, and the mask of the track as 0 and 255."""
        batch = np.ascontiguousarray(clips, np.uint8)
        if not len(batch):
            return np.zeros((0, len(self.classes)), np.float32)
        device = next(self.network.parameters()).device
        logits = self.network(network_input(batch, self.architecture).to(device))
        return np.asarray(logits.softmax(1).cpu().numpy())

    def metadata(self) -> dict[str, str]:
        """What stands in its file beside the weights."""
        return {
            "architecture": self.architecture,
            "classes": json.dumps(self.classes),
            "trained_on": self.trained_on,
        }
