"""OpenVINO on the CPU: fp32, bf16 where the CPU has it, and int8 where a graph was made for it."""

from __future__ import annotations

import functools
import hashlib
import io
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor

from pose_tracking.core.errors import BundleError

from .cache import ModelCache
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


def computes_int8() -> bool:
    """Whether OpenVINO multiplies 8 bit integers on this CPU."""
    return "INT8" in shared_core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


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
    """Runs parts as OpenVINO graphs, with as many threads as PyTorch has when they are loaded.

    Args:
        precision: "fp32", "bf16" or "int8"; the latter for the parts of `quantized`, for others the best of the former.
        cache: as of `GraphEngine`.
        quantized: graph files (OpenVINO's IR) in int8 by the name of their part; whose weights they have is for the
            caller to see to.
    """

    name = "openvino"
    prepares_shapes = True

    def __init__(
        self, precision: str = "fp32", cache: ModelCache | None = None, quantized: Mapping[str, Path] | None = None
    ) -> None:
        super().__init__(precision, cache)
        self._quantized = dict(quantized or {})

    @property
    def _arithmetic(self) -> str:
        if self.precision == "int8":
            return "bf16" if computes_bf16() else "fp32"
        return self.precision

    def compile(self, part: Part) -> Run:
        """What runs `part`; see `Engine`.

        Raises:
            BundleError: its graph in int8 cannot be used.
        """
        file = self._quantized.get(part.name)
        return super().compile(part) if file is None else self._from_file(part, file)

    def _from_file(self, part: Part, file: Path) -> Run:
        """The graph of a file, which is slow to compile and therefore kept as all others are."""
        try:
            content = file.read_bytes() + file.with_suffix(".bin").read_bytes()
            facts = self._facts(), hashlib.sha256(content).hexdigest(), self._arithmetic, torch.get_num_threads()
            key = f"{self.name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"
            run = self._kept(key, self._arithmetic)
            if run is None:
                graph = shared_core().read_model(str(file))
                compiled = shared_core().compile_model(graph, _DEVICE, properties(self._arithmetic))
                self._cache.write(key, data := bytes(compiled.export_model().getvalue()))
                run = self._load(data, self._arithmetic)
            _check_shapes(part, run)
        except Exception as error:  # OpenVINO fails in many ways
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise BundleError(
                f"{file}: cannot run the {part.name} in int8 ({reason}): repeat `pose-tracking optimize`, or take "
                "precision auto"
            ) from error
        return run

    def _facts(self) -> tuple[str, ...]:
        return openvino.get_version(), str(shared_core().get_property(_DEVICE, "FULL_DEVICE_NAME"))

    def _export(self, part: Part, precision: str) -> bytes:
        compiled = shared_core().compile_model(converted(part), _DEVICE, properties(precision))
        return bytes(compiled.export_model().getvalue())

    def _load(self, data: bytes | memoryview, precision: str) -> Run:
        return _Graph(shared_core().import_model(io.BytesIO(data), _DEVICE, properties(precision)))


def converted(part: Part) -> Any:
    """The OpenVINO model of a part, its varying dimensions free.

    While it traces, OpenVINO replaces Python's own `divmod` in the whole process (seen with 2026.4).
    """
    from pose_tracking.core.kernels import compiling_nothing  # Numba: half a second, only where something is converted

    with _untouched_root_logger(), compiling_nothing():
        graph = openvino.convert_model(WithTupleOutput(part.module), example_input=part.example)
    shapes = [
        openvino.PartialShape([-1 if d in varying else size for d, size in enumerate(tensor.shape)])
        for tensor, varying in zip(part.example, part.varying, strict=True)
    ]
    graph.reshape(dict(enumerate(shapes)))
    return graph


def _check_shapes(part: Part, run: Run) -> None:
    """Raise unless a graph takes what the part takes and gives as much; its numbers are those of other weights."""
    with torch.no_grad():
        wanted = [tuple(output.shape) for output in part.module(*part.example)]
    got = [tuple(output.shape) for output in run(*part.example)]
    if wanted != got:
        raise RuntimeError(f"it gives {got}, and not {wanted}")


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
            # Handing the arrays to `infer` takes twice as long: it asks of each what it might be.
            for i, array in enumerate(arrays):
                self._request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))
            self._request.infer()
            # Copied: the next call writes to the same memory.
            outputs = [self._request.get_output_tensor(i).data.copy() for i in range(self._outputs)]
        return tuple(torch.from_numpy(output) for output in outputs)
