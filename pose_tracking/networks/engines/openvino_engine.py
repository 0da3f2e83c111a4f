"""OpenVINO on the CPU: fp32, and bf16 where the CPU has it."""

from __future__ import annotations

import functools
import io
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor

from .engine import Part, Run
from .graph_engine import GraphEngine, WithTupleOutput

_DEVICE = "CPU"
_HINTS = {"fp32": "f32", "bf16": "bf16"}


@functools.cache
def shared_core() -> Any:
    """The OpenVINO runtime: one for the whole process, never let go of.

    The CPU plugin of each gives the main thread a stack for signals, and puts back the one before when it goes. Of two
    that do not go in the reverse order of their coming, the second puts back what the first has freed: the next
    signal, a Ctrl-C perhaps, ends the process with a segmentation fault (seen with 2026.4).
    """
    return openvino.Core()


def computes_bf16() -> bool:
    """Whether OpenVINO multiplies bfloat16 natively on this CPU."""
    return "BF16" in shared_core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


def properties(precision: str) -> dict[str, Any]:
    """How graphs are compiled for "fp32" or "bf16": for one frame at a time, with as many threads as PyTorch has."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # A thread that is bound to a core waits for whatever else runs there.
        "ENABLE_CPU_PINNING": False,
    }


class OpenVinoEngine(GraphEngine):
    """Runs parts as OpenVINO graphs, with as many threads as PyTorch has when they are loaded."""

    name = "openvino"

    def _facts(self) -> tuple[str, ...]:
        return openvino.get_version(), str(shared_core().get_property(_DEVICE, "FULL_DEVICE_NAME"))

    def _export(self, part: Part, precision: str) -> bytes:
        with _untouched_root_logger():
            graph = openvino.convert_model(WithTupleOutput(part.module), example_input=part.example)
        shapes = [
            openvino.PartialShape([-1 if d in varying else size for d, size in enumerate(tensor.shape)])
            for tensor, varying in zip(part.example, part.varying, strict=True)
        ]
        graph.reshape(dict(enumerate(shapes)))
        compiled = shared_core().compile_model(graph, _DEVICE, properties(precision))
        return bytes(compiled.export_model().getvalue())

    def _load(self, data: bytes | memoryview, precision: str) -> Run:
        return _Graph(shared_core().import_model(io.BytesIO(data), _DEVICE, properties(precision)))


@contextmanager
def _untouched_root_logger() -> Iterator[None]:
    """The converter sets the root logger to errors only, and leaves it so where it fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


class _Graph:
    """A compiled graph, called with tensors."""

    def __init__(self, compiled: Any) -> None:
        self._request, self._outputs = compiled.create_infer_request(), len(compiled.outputs)
        self._lock = threading.Lock()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = [np.ascontiguousarray(tensor.detach().numpy()) for tensor in inputs]
        with self._lock:
            self._request.infer(arrays, share_inputs=True, share_outputs=True)
            # Copied: the next call writes to the same memory.
            outputs = [self._request.get_output_tensor(i).data.copy() for i in range(self._outputs)]
        return tuple(torch.from_numpy(output) for output in outputs)
