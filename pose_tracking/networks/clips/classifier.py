"""A network for clips with the names of its classes: one file, and what it says of a batch of clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.engines.engine import Engine, Part, Run
from pose_tracking.networks.weights import load_weights

from .inputs import network_input
from .resnext import ResNeXt3D
from .shape import FRAMES, SIDE
from .small import SmallClipNetwork, moments

ARCHITECTURES = ("small", "resnext101")


class _Part(nn.Module):
    """A network as an engine takes it: a tuple out, and without the moments of the mask, which are exact."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.train(network.training)

    def forward(self, clips: Tensor, *way: Tensor) -> tuple[Tensor]:
        if isinstance(self.network, SmallClipNetwork):
            return (self.network.scores(clips, *way),)
        return (self.network(clips),)


def _fed(x: Tensor, architecture: str) -> tuple[Tensor, ...]:
    """What such a part is fed of `network_input`."""
    return (x, moments(x[:, 3])) if architecture == "small" else (x,)


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
        run: what computes `part` in place of the network, where an engine does; see `run_by`.
    """

    network: nn.Module
    classes: tuple[str, ...]
    architecture: str
    trained_on: str = ""
    run: Run | None = None

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
            classes = _class_names(metadata["classes"])
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
        x = network_input(batch, self.architecture).to(device)
        logits = self.network(x) if self.run is None else self.run(*_fed(x, self.architecture))[0]
        return np.asarray(logits.softmax(1).cpu().numpy())

    def run_by(self, engine: Engine) -> ClipClassifier:
        """The same network, run by an engine; its weights must not change any more."""
        side = self.side
        clips = np.random.default_rng(0).integers(0, 256, (2, FRAMES, side, side, 4), dtype=np.uint8)
        clips[..., 3] = 0
        clips[:, :, side // 4 : side // 2, side // 4 : side // 2, 3] = 255
        device = next(self.network.parameters()).device
        example = _fed(network_input(clips, self.architecture).to(device), self.architecture)
        part = Part("clip network", _Part(self.network), example, tuple((0,) for _ in example))
        return replace(self, run=engine.compile(part))

    def metadata(self) -> dict[str, str]:
        """What stands in its file beside the weights."""
        return {
            "architecture": self.architecture,
            "classes": json.dumps(self.classes),
            "trained_on": self.trained_on,
        }


def _class_names(text: str) -> tuple[str, ...]:
    """The names in a JSON list; ValueError where it is none, or two are the same."""
    names = json.loads(text)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or len({*names}) < max(len(names), 1):
        raise ValueError(f"its classes are no list of different names, but {text[:60]}")
    return tuple(names)
