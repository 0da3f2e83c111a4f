"""Which engine runs the networks, from what is asked for and what there is."""

from __future__ import annotations

import functools
import importlib
import logging
from types import ModuleType

import torch

from pose_tracking.core.device import computes_bf16
from pose_tracking.core.errors import ConfigError

from .config import AUTO, InferenceConfig
from .engine import Engine, TorchEngine

LOGGER = logging.getLogger(__name__)

# What brings each engine; ONNX Runtime's graphs are written by the package onnx.
PACKAGES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx")}


def choose_engine(config: InferenceConfig, device: str | torch.device = "cpu") -> Engine:
    """A fresh engine for the networks of one stage.

    Args:
        config: what is asked for.
        device: of the networks.

    Raises:
        ConfigError: an engine or a precision asked for by name is not there, or does not run on that device.
    """
    device = torch.device(device)
    name = _automatic(device) if config.engine == AUTO else config.engine
    if name == "torch":
        return TorchEngine("fp32" if config.precision == AUTO else _checked(config.precision, computes_bf16(device)))
    if device.type != "cpu":
        raise ConfigError(f"engine {name!r} runs on the CPU and the device is {device}: take torch or auto")
    module = _engine_module(name)
    if isinstance(module, str):
        raise ConfigError(f"engine {name!r} cannot be used ({module}): pip install {' '.join(PACKAGES[name])}")
    if name == "onnxruntime":
        if config.precision == "bf16":
            raise ConfigError("precision 'bf16': onnxruntime computes in fp32 on a CPU: take fp32, or openvino")
        return module.OnnxRuntimeEngine()
    has_bf16 = module.computes_bf16()
    if config.precision == AUTO:
        return module.OpenVinoEngine("bf16" if has_bf16 else "fp32")
    return module.OpenVinoEngine(_checked(config.precision, has_bf16))


def _checked(precision: str, has_bf16: bool) -> str:
    if precision == "bf16" and not has_bf16:
        raise ConfigError("precision 'bf16': this processor has no bf16 arithmetic: take fp32 or auto")
    return precision


def _automatic(device: torch.device) -> str:
    if device.type != "cpu":
        return "torch"
    module = _engine_module("openvino")
    if isinstance(module, str):
        _say_slow(module)
        return "torch"
    return "openvino"


@functools.cache
def _engine_module(name: str) -> ModuleType | str:
    """The module of an engine, or in one line why it cannot be imported."""
    try:
        return importlib.import_module(f"{__package__}.{name}_engine")
    except Exception as error:  # a broken library raises what it likes
        return (str(error).strip().splitlines() or [type(error).__name__])[0]


@functools.cache
def _say_slow(reason: str) -> None:
    LOGGER.warning("the networks run on torch (%s); on a CPU OpenVINO is faster: pip install openvino", reason)
