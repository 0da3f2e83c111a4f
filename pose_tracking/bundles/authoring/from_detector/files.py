"""The files of somebody else's detector, as they go into a bundle."""

from __future__ import annotations

import importlib.util
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.checkpoints import read_pickle
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.graph_file import open_graph

_FIX = "if you trust it, load it yourself and torch.save(model.state_dict(), 'weights.pth')"


def read_state(path: Path) -> OrderedDict[str, Tensor]:
    """Weights by name of a ``state_dict()`` saved by ``torch.save``, bare or under 'model', or of a safetensors file.

    Raises:
        BundleError: missing, empty or damaged file, one that wants to run code, or no weights by name.
    """
    if not path.is_file():
        raise BundleError(f"{path}: missing: no such checkpoint")
    if path.stat().st_size == 0:
        raise BundleError(f"{path}: is empty: fetch or copy the checkpoint again")
    if path.suffix == ".safetensors":
        try:
            content: Any = load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise BundleError(f"{path}: damaged or no safetensors file ({str(error).splitlines()[0]})") from error
    else:
        content = read_pickle(path, _FIX)
    if isinstance(content, Mapping):
        inner = (content[key] for key in ("model", "state_dict") if isinstance(content.get(key), Mapping))
        content = next(inner, content)
    if not isinstance(content, Mapping) or not content:
        raise BundleError(f"{path}: has no weights by name; {_FIX}")
    state: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise BundleError(f"{path}: entry {str(name)!r} is a {type(value).__name__}, not a weight; {_FIX}")
        if not torch.isfinite(value).all():
            raise BundleError(f"{path}: weight {name} is not finite: the training run diverged")
        state[name.removeprefix("module.")] = value.contiguous()
    return state


def copy_graph(source: Path, target: Path) -> None:
    """Copy a graph file with everything that belongs to it; ONNX files with weights beside them become one file.

    Raises:
        BundleError: a part of it is missing, or it cannot be loaded where it is now.
    """
    if source.suffix.lower() == ".xml":
        shutil.copyfile(source.with_suffix(".bin"), target.with_suffix(".bin"))
    if source.suffix.lower() == ".onnx" and _save_whole(source, target):
        return
    shutil.copyfile(source, target)
    if source.suffix.lower() != ".onnx" or importlib.util.find_spec("onnx") is not None:
        return
    try:
        open_graph(target, InferenceConfig())
    except BundleError as error:
        raise BundleError(
            f"{source}: cannot be loaded elsewhere: its weights seem to lie in other files beside it; pip install "
            "onnx, which joins them"
        ) from error


def _save_whole(source: Path, target: Path) -> bool:
    """Write an ONNX file and the weights it keeps in others as one; False where it keeps none or onnx is missing."""
    try:
        import onnx
        from onnx.external_data_helper import uses_external_data
    except ImportError:
        return False
    try:
        graph = onnx.load(str(source), load_external_data=False).graph
        if not any(uses_external_data(tensor) for tensor in graph.initializer):
            return False
        onnx.save(onnx.load(str(source)), str(target))
    except Exception as error:  # protobuf and file errors of many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{source}: the weights beside it cannot be joined with it ({reason[:200]})") from error
    return True
