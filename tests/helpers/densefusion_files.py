"""Checkpoints laid out as the public DenseFusion code saves them, with weights that a formula gives."""

from __future__ import annotations

import math
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet

TABLE = 1_000_003  # a prime: rows of a matrix do not repeat
# Layers after which numbers shall be of the order of 1, so that a tolerance means the same for all.
GAINS = {"final": 0.03, "conv4_": 0.2, "refiner.conv3_": 0.2}
CLASSIFIER = {"0.weight": (256, 256), "0.bias": (256,), "2.weight": (21, 256), "2.bias": (21,)}


@cache
def _table() -> NDArray[np.float32]:
    """Numbers between -1 and 1 from an integer hash of their position: the same on every machine."""
    state = np.arange(1, TABLE + 1, dtype=np.uint64)
    for factor in (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93):
        state *= np.uint64(factor)
        state ^= state >> np.uint64(32)
    return (state >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - 1


def scattered(name: str, shape: tuple[int, ...], limit: float = 1.0) -> Tensor:
    """Irregular numbers between -limit and limit, other ones for another name."""
    start = zlib.crc32(name.encode()) % TABLE
    values = np.resize(np.roll(_table(), -start), math.prod(shape)) * np.float32(limit)
    return torch.from_numpy(values).reshape(shape)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """A weight that keeps the signal's size (He et al.), by the name the public code gives it."""
    gain = next((gain for layer, gain in GAINS.items() if layer in name), 1.0)
    return scattered(name, shape, gain * math.sqrt(6 / math.prod(shape[1:])) if len(shape) > 1 else 0.2)


def estimator_state(num_objects: int, wrapper: str = "module.") -> dict[str, Tensor]:
    """What ``torch.save(estimator.state_dict(), ...)`` of the public code would hold."""
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in PoseNet(num_objects).state_dict().items()}
    names = {f"cnn.model.{wrapper}{name[4:]}" if name.startswith("cnn.") else name: s for name, s in shapes.items()}
    names |= {f"cnn.model.{wrapper}classifier.{name}": shape for name, shape in CLASSIFIER.items()}
    return {name: weight(name.replace("model.module.", "model."), shape) for name, shape in names.items()}


def refiner_state(num_objects: int) -> dict[str, Tensor]:
    """The same for the refiner."""
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in PoseRefineNet(num_objects).state_dict().items()}
    return {name: weight("refiner." + name, shape) for name, shape in shapes.items()}


def write_checkpoints(
    folder: Path, num_objects: int, zip_format: bool = True, color_gain: float = 1.0
) -> tuple[Path, Path]:
    """Estimator and refiner files in `folder`; images are meant to be of the order of 1 / `color_gain`."""
    paths = folder / "pose_model.pth", folder / "pose_refine_model.pth"
    estimator = estimator_state(num_objects)
    estimator["cnn.model.module.feats.conv1.weight"] *= color_gain
    for path, state in zip(paths, (estimator, refiner_state(num_objects)), strict=True):
        torch.save(state, path, _use_new_zipfile_serialization=zip_format)
    return paths


def network_input(points: int = 50, height: int = 40, width: int = 80) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image, points, choose and object index of three crops; the objects are not in order."""
    image = scattered("image", (3, 3, height, width), 2.0)
    cloud = scattered("points", (3, points, 3), 0.1) + torch.tensor([0.0, 0.0, 0.6])
    choose = ((scattered("choose", (3, points)) + 1) / 2 * (height * width - 1)).long()
    return image, cloud, choose, torch.tensor([2, 0, 1])
