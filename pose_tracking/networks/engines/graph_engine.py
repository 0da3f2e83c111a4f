"""Engines that run a graph made from a module: made once, checked against PyTorch, kept on disk."""

from __future__ import annotations

import logging
import time
import warnings
from abc import abstractmethod

import torch
from torch import Tensor, nn

from pose_tracking.core.cache_folder import cache_folder

from .cache import ModelCache, digest, shared_cache
from .engine import Engine, Part, Run

LOGGER = logging.getLogger(__name__)

# Largest difference of an output from PyTorch's, relative to its size, at which a fresh graph is believed.
_TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}


class GraphEngine(Engine):
    """An `Engine` whose graphs are bytes.

    Args:
        precision: "fp32" or "bf16".
        cache: where graphs are kept; by default in `cache_folder`.
    """

    copies_weights = True

    def __init__(self, precision: str = "fp32", cache: ModelCache | None = None) -> None:
        super().__init__(precision)
        self._cache = shared_cache(cache_folder("networks")) if cache is None else cache

    @property
    def _arithmetic(self) -> str:
        """ "fp32" or "bf16": of what is not `exact`."""
        return self.precision

    @abstractmethod
    def _facts(self) -> tuple[str, ...]:
        """Versions and hardware on which graphs depend."""

    @abstractmethod
    def _export(self, part: Part, precision: str) -> bytes:
        """The graph of a part; its varying dimensions are free."""

    @abstractmethod
    def _load(self, data: bytes | memoryview, precision: str) -> Run:
        """What runs a graph that `_export` gave."""

    def compile(self, part: Part) -> Run:
        """What runs `part`; see `Engine`."""
        precision = "fp32" if part.exact else self._arithmetic
        sizes = tuple((tuple(tensor.shape), str(tensor.dtype)) for tensor in part.example)
        versions = torch.__version__, *self._facts()
        key = f"{self.name}-{digest(part.module, versions, sizes, part.varying, precision)}"
        try:
            return self._kept(key, precision) or self._made(key, part, precision)
        except Exception as error:  # compilers and their converters fail in many ways; PyTorch runs everything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            LOGGER.warning("%s cannot run the %s (%s): it stays on torch", self.name, part.name, reason[:200])
            self.on_torch.append(part.name)
            return part.module

    def _kept(self, key: str, precision: str) -> Run | None:
        data = self._cache.read(key)
        if data is None:
            return None
        try:
            return self._load(data, precision)
        except Exception:
            self._cache.discard(key, f"{self.name} does not take it")
            return None

    def _made(self, key: str, part: Part, precision: str) -> Run:
        started = time.monotonic()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both converters trace, which PyTorch calls outdated, and sizes unsafe
            data = self._export(part, precision)
        run = self._load(data, precision)
        _check(part, run, _TOLERANCE[precision])
        self._cache.write(key, data)
        LOGGER.info("compiled the %s for %s in %.1f s", part.name, self.name, time.monotonic() - started)
        return run


class WithTupleOutput(nn.Module):
    """A module whose outputs are a plain tuple, which is what the converters understand."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        # The exporter of ONNX puts all back into the mode of the outermost one: norms would go on learning.
        self.train(module.training)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module(*inputs))


def _check(part: Part, run: Run, tolerance: float) -> None:
    """Raise unless the graph gives what the module gives, at twice the sizes of the example where they vary."""
    inputs = []
    for tensor, dimensions in zip(part.example, part.varying, strict=True):
        for dimension in dimensions:
            tensor = torch.cat([tensor, tensor], dimension)
        inputs.append(tensor)
    with torch.no_grad():
        wanted = part.module(*inputs)
    for number, (want, got) in enumerate(zip(wanted, run(*inputs), strict=True)):
        if want.shape != got.shape:
            raise RuntimeError(f"its output {number} has shape {tuple(got.shape)}, PyTorch's {tuple(want.shape)}")
        difference = float((want - got).norm() / want.norm().clamp_min(1e-12))
        if not difference <= tolerance:
            raise RuntimeError(f"its output {number} differs from PyTorch's by {difference:.2g}")
