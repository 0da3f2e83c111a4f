"""Networks that come as graph files: ONNX by OpenVINO or ONNX Runtime, what OpenVINO reads besides by OpenVINO."""

from __future__ import annotations

import importlib.util
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pose_tracking.core.errors import BundleError, ConfigError

from .config import AUTO, InferenceConfig

LOGGER = logging.getLogger(__name__)

ONNX_SUFFIX = ".onnx"
# The IR (.xml with .bin beside it), TensorFlow's frozen graphs, TensorFlow Lite.
OPENVINO_SUFFIXES = (".xml", ".pb", ".tflite")


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        names: its name; OpenVINO may know several.
        shape: sizes, None where any will do; empty where not even their number is known.
        dtype: NumPy's name of its type, e.g. "float32".
    """

    names: tuple[str, ...]
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} [{sizes}]"


class GraphFile(ABC):
    """A loaded graph.

    Attributes:
        inputs, outputs: its ports.
        metadata: what its author has written into it, of ONNX files run by ONNX Runtime; empty otherwise.
        engine: what runs it, for people.
    """

    inputs: list[Port]
    outputs: list[Port]
    metadata: dict[str, str]
    engine: str

    @abstractmethod
    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs for one array an input, of its type."""


def open_graph(path: str | Path, inference: InferenceConfig, device: str | torch.device = "cpu") -> GraphFile:
    """Load a graph.

    Computed in fp32 unless bf16 is asked for by name: graphs of detectors compute coordinates, of which bf16 keeps
    eight binary digits.

    Args:
        path: the file; its suffix tells the format.
        inference: what is to run it. "auto" takes OpenVINO where it is installed, and ONNX Runtime for ONNX files that
            OpenVINO cannot take.
        device: ONNX Runtime runs on a GPU where its package can, everything else on the CPU.

    Raises:
        BundleError: the file is missing, damaged, or has operators that what would run it does not know.
        ConfigError: what is asked for is not installed, or cannot read such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"{path}: missing: no such graph file")
    if path.stat().st_size == 0:
        raise BundleError(f"{path}: is empty: export or copy the detector again")
    if path.suffix.lower() not in (ONNX_SUFFIX, *OPENVINO_SUFFIXES):
        raise BundleError(
            f"{path}: {path.suffix or 'no suffix'} is no known graph format: .onnx, .xml, .pb and .tflite are"
        )
    if path.suffix.lower() == ".xml" and not path.with_suffix(".bin").is_file():
        raise BundleError(
            f"{path.with_suffix('.bin')}: missing: an OpenVINO model is a .xml file and the .bin beside it"
        )
    names = _candidates(path, inference.engine)
    problems = []
    for name in names:
        try:
            graph = _load(name, path, inference, torch.device(device))
        except Exception as error:  # readers of graphs fail in many ways
            problems.append(f"{name}: {_reason(error)}")
            continue
        if problems:
            LOGGER.info("%s: runs on %s (%s)", path, name, "; ".join(problems))
        return graph
    raise BundleError(
        f"{path}: cannot be loaded ({'; '.join(problems)}): damaged, of an opset or with operators that the installed "
        "version does not know; export it again, e.g. with opset 17"
    )


def _candidates(path: Path, wanted: str) -> list[str]:
    """Engines to try, in order."""
    readers = ["openvino", "onnxruntime"] if path.suffix.lower() == ONNX_SUFFIX else ["openvino"]
    if wanted not in (AUTO, *readers):
        raise ConfigError(f"engine {wanted!r} cannot run {path.name}: take {' or '.join(readers)}, or auto")
    if wanted != AUTO:
        readers = [wanted]
    there = [name for name in readers if importlib.util.find_spec(name) is not None]
    if not there:
        raise ConfigError(f"{path}: needs {' or '.join(readers)}, which is not installed: pip install {readers[-1]}")
    return there


def _load(name: str, path: Path, inference: InferenceConfig, device: torch.device) -> GraphFile:
    if name == "openvino":
        if device.type != "cpu":
            LOGGER.warning("%s runs on the CPU: OpenVINO's other devices are not used", path.name)
        return _OpenVinoGraph(path, "bf16" if inference.precision == "bf16" else "fp32")
    return _OnnxRuntimeGraph(path, device)


class _OpenVinoGraph(GraphFile):
    def __init__(self, path: Path, precision: str) -> None:
        from .openvino_engine import properties, shared_core

        model = shared_core().read_model(str(path))
        self.engine = f"openvino {precision}"
        self._compiled = shared_core().compile_model(model, "CPU", properties(precision))
        self._request = self._compiled.create_infer_request()
        self.inputs = [_openvino_port(port) for port in self._compiled.inputs]
        self.outputs = [_openvino_port(port) for port in self._compiled.outputs]
        self.metadata = {}

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        self._request.infer(list(inputs), share_inputs=True)
        return [self._request.get_output_tensor(i).data.copy() for i in range(len(self.outputs))]


def _openvino_port(port: Any) -> Port:
    shape = port.get_partial_shape()
    sizes = () if shape.rank.is_dynamic else tuple(None if d.is_dynamic else d.get_length() for d in shape)
    return Port(
        tuple(sorted(port.get_names(), key=len)) or ("?",), sizes, np.dtype(port.get_element_type().to_dtype()).name
    )


class _OnnxRuntimeGraph(GraphFile):
    def __init__(self, path: Path, device: torch.device) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # exports of torchvision state sizes that they do not keep, a line for each call
        providers = ["CPUExecutionProvider"]
        if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        elif device.type != "cpu":
            LOGGER.warning("%s runs on the CPU: this ONNX Runtime has no CUDA (pip install onnxruntime-gpu)", path.name)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.engine = "onnxruntime fp32"
        self.inputs = [_onnxruntime_port(port) for port in self._session.get_inputs()]
        self.outputs = [_onnxruntime_port(port) for port in self._session.get_outputs()]
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        feeds = {port.name: array for port, array in zip(self.inputs, inputs, strict=True)}
        return [np.asarray(output) for output in self._session.run(None, feeds)]


# What ONNX Runtime calls the types that NumPy calls otherwise.
_TYPES = {"float": "float32", "double": "float64"}


def _onnxruntime_port(port: Any) -> Port:
    kind = port.type.removeprefix("tensor(").removesuffix(")")
    sizes = tuple(size if isinstance(size, int) else None for size in port.shape or ())
    return Port((port.name,), sizes, _TYPES.get(kind, kind))


def run_graph(graph: GraphFile, inputs: Sequence[NDArray[Any]], path: Path) -> list[NDArray[Any]]:
    """Outputs of `graph`; a failure of what runs it becomes one line.

    Raises:
        BundleError: it cannot compute with inputs of these sizes.
    """
    try:
        return graph(*inputs)
    except Exception as error:  # whatever the engine raises
        sizes = ", ".join(str(list(array.shape)) for array in inputs)
        raise BundleError(
            f"{path}: {graph.engine} cannot compute it for an input of {sizes} ({_reason(error)}); export it again "
            "with a fixed size"
        ) from error


def _reason(error: BaseException) -> str:
    """The line of an engine's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    openings = ("Exception from", "Check ", "While ", "Summary")
    told = [line for line in lines if not line.startswith(openings) and not line.endswith(":")]
    return (told or lines or [type(error).__name__])[0][:200]
