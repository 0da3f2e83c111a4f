"""Which engine runs the networks, from what is asked for and what there is."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch

from pose_tracking.core.device import computes_bf16
from pose_tracking.core.errors import ConfigError

from .config import AUTO, InferenceConfig
from .engine import Engine, TorchEngine

LOGGER = logging.getLogger(__name__)

# What brings each engine; ONNX Runtime's graphs are written by the package onnx.
PACKAGES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx")}


def choose_engine(
    config: InferenceConfig, device: str | torch.device = "cpu", quantized: Mapping[str, Path] | None = None
) -> Engine:
    """A fresh engine for the networks of one stage.

    Args:
        config: what is asked for; int8 means "auto" to a stage that has nothing in int8.
        device: of the networks.
        quantized: graph files of the parts that the stage has in int8, by the name of the `Part`; needed for int8.

    Raises:
        ConfigError: an engine or a precision asked for by name is not there, or does not run on that device.
    """
    device = torch.device(device)
    if config.precision == "int8":
        return _int8_engine(config, device, quantized or {})
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


def _int8_engine(config: InferenceConfig, device: torch.device, quantized: Mapping[str, Path]) -> Engine:
    """OpenVINO with the graphs of `quantized`, and the usual engine where there are none."""
    if config.engine not in (AUTO, "openvino") or device.type != "cpu":
        asked = f"engine {config.engine!r}" if config.engine not in (AUTO, "openvino") else f"the device {device}"
        raise ConfigError(f"precision 'int8' runs on openvino and a CPU, not with {asked}: take auto or bf16")
    if not quantized:
        return choose_engine(replace(config, precision=AUTO), device)
    module = _engine_module("openvino")
    if isinstance(module, str):
        raise ConfigError(f"precision 'int8' needs openvino, which cannot be used ({module}): pip install openvino")
    if not module.computes_int8():
        raise ConfigError("precision 'int8': this processor has no int8 arithmetic: take auto")
    return module.OpenVinoEngine("int8", quantized=quantized)


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
