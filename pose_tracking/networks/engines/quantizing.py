"""Post-training quantisation to int8 by NNCF (Kozlov et al., arXiv:2002.08679), for OpenVINO."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_tracking.core.errors import ConfigError

from .engine import Part

LOGGER = logging.getLogger(__name__)


def require_nncf() -> None:
    """Raise where NNCF or OpenVINO is not there.

    Raises:
        ConfigError: with the command that installs them.
    """
    for name in ("openvino", "nncf"):
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken library raises what it likes
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"int8 needs {name} ({reason}): pip install 'pose_tracking[optimize]'") from error


def quantize(part: Part, inputs: Iterable[tuple[Tensor, ...]]) -> Any:
    """The OpenVINO model of a part with weights and activations in int8.

    Args:
        part: the part.
        inputs: what goes into it in real use, from which the ranges of the activations are taken; at least one.

    Raises:
        ConfigError: NNCF or OpenVINO is not there, or there are no inputs.
    """
    require_nncf()
    import nncf

    from .openvino_engine import converted

    taken = [tuple(tensor.detach().numpy() for tensor in each) for each in inputs]
    if not taken:
        raise ConfigError("int8 needs frames to take the ranges of the activations from: give at least one")
    nncf.set_log_level(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter traces, which PyTorch calls outdated, and sizes unsafe
        model = converted(replace(part, example=tuple(t.clone() for t in part.example)))
    # Weights symmetric, activations not: those of the trunk (ReLU6) and of the depth channels begin at 0, or do not.
    preset = nncf.QuantizationPreset.MIXED
    return nncf.quantize(model, nncf.Dataset(taken), subset_size=len(taken), preset=preset)


def save(model: Any, path: Path) -> None:
    """Write an OpenVINO model as IR: `path` (.xml) and the .bin beside it."""
    import openvino

    openvino.save_model(model, path, compress_to_fp16=False)
