"""ONNX Runtime on the CPU, fp32: for machines that OpenVINO has no wheels for."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from .engine import Part, Run
from .graph_engine import GraphEngine, WithTupleOutput

_OPSET = 18
_REVISION = "2"  # of what `_export` gives: kept graphs of other revisions are made again


class OnnxRuntimeEngine(GraphEngine):
    """Runs parts as ONNX graphs, with as many threads as PyTorch has when they are loaded."""

    name = "onnxruntime"

    def _facts(self) -> tuple[str, ...]:
        return onnxruntime.__version__, onnx.__version__, _REVISION

    def _export(self, part: Part, precision: str) -> bytes:
        file, names = io.BytesIO(), [f"input_{i}" for i in range(len(part.example))]
        axes = {name: list(varying) for name, varying in zip(names, part.varying, strict=True) if varying}
        # The tracing exporter: that of torch.export takes minutes where sizes vary.
        with redirect_stdout(io.StringIO()):  # where it fails it prints the graph, thousands of lines
            torch.onnx.export(
                WithTupleOutput(part.module), part.example, file,  # type: ignore[arg-type]
                input_names=names, dynamic_axes=axes,
                opset_version=_OPSET, dynamo=False,
            )  # fmt: skip
        model = onnx.load_model_from_string(file.getvalue())
        # Tracing notes the example's sizes of what varies; ONNX Runtime warns of each call that has others.
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        del model.graph.value_info[:]
        return model.SerializeToString()

    def _load(self, data: bytes | memoryview, precision: str) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that spin while they wait take the cores from everything else.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(bytes(data), options, providers=["CPUExecutionProvider"])
        names = [node.name for node in session.get_inputs()]

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            arrays = (np.ascontiguousarray(tensor.detach().numpy()) for tensor in inputs)
            return tuple(torch.from_numpy(o) for o in session.run(None, dict(zip(names, arrays, strict=True))))

        return run
