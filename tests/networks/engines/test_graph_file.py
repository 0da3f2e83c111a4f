"""Graph files of other programs: what runs them, and what is said of those that cannot run."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.graph_file import open_graph, run_graph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write(path: Path, operator: str = "Relu", opset: int = 17, domain: str = "") -> Path:
    shape = ["rows", 4]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["x"], ["y"], domain=domain)], "g",
        [value("x", onnx.TensorProto.FLOAT, shape)], [value("y", onnx.TensorProto.FLOAT, shape)],
    )  # fmt: skip
    opsets = [onnx.helper.make_opsetid("", opset), *([onnx.helper.make_opsetid(domain, 1)] if domain else [])]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    entry = model.metadata_props.add()
    entry.key, entry.value = "stride", "32"
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines_run_it(tmp_path: Path, engine: str) -> None:
    pytest.importorskip(engine)
    graph = open_graph(write(tmp_path / "a.onnx"), InferenceConfig(engine))
    assert graph.engine == f"{engine} fp32"
    assert [str(port) for port in graph.inputs] == ["x float32 [?, 4]"]
    assert [port.name for port in graph.outputs] == ["y"]
    for rows in (3, 5):
        x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
        (y,) = graph(x)
        np.testing.assert_array_equal(y, np.maximum(x, 0))
    if engine == "onnxruntime":
        assert graph.metadata == {"stride": "32"}


def test_what_openvino_cannot_take_runs_on_onnxruntime(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openvino")
    path = write(tmp_path / "a.onnx", "Gelu", domain="com.microsoft")
    with caplog.at_level(logging.INFO):
        graph = open_graph(path, InferenceConfig())
    if graph.engine.startswith("openvino"):
        pytest.skip("this OpenVINO knows the operator")
    assert "runs on onnxruntime (openvino:" in caplog.text
    x = np.array([[-1, 0, 1, 2]], np.float32)
    np.testing.assert_allclose(graph(x)[0], [[-0.1587, 0, 0.8413, 1.9545]], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.onnx", b"", "is empty"),
        ("a.onnx", b"not a graph" * 20, "cannot be loaded .*damaged, of an opset"),
        ("a.pb", b"not a graph" * 20, "cannot be loaded"),
        ("a.xml", b"<net>", "a.bin: missing"),
        ("a.engine", b"x", ".engine is no known graph format"),
    ],
)
def test_damaged_files_give_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    pytest.importorskip("openvino")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=message) as told:
        open_graph(tmp_path / name, InferenceConfig())
    assert "\n" not in str(told.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such graph file"):
        open_graph(tmp_path / "a.onnx", InferenceConfig())


def test_opset_and_operator_that_nothing_knows(tmp_path: Path) -> None:
    later, unknown = write(tmp_path / "a.onnx", opset=999), write(tmp_path / "b.onnx", "Conjure", domain="of.nobody")
    # OpenVINO runs what it knows of a later opset.
    for path, engine in ((later, "onnxruntime"), (unknown, "auto")):
        with pytest.raises(BundleError, match="export it again, e.g. with opset 17") as told:
            open_graph(path, InferenceConfig(engine))
        assert "\n" not in str(told.value)


def test_engine_that_cannot_read_it(tmp_path: Path) -> None:
    (tmp_path / "a.pb").write_bytes(b"x")
    with pytest.raises(ConfigError, match="engine 'onnxruntime' cannot run a.pb: take openvino"):
        open_graph(tmp_path / "a.pb", InferenceConfig("onnxruntime"))
    with pytest.raises(ConfigError, match="engine 'torch' cannot run"):
        open_graph(write(tmp_path / "a.onnx"), InferenceConfig("torch"))


def test_size_that_it_cannot_compute_with(tmp_path: Path) -> None:
    graph = open_graph(write(tmp_path / "a.onnx"), InferenceConfig())
    with pytest.raises(BundleError, match=r"cannot compute it for an input of \[2, 7\].*fixed size"):
        run_graph(graph, [np.zeros((2, 7), np.float32)], tmp_path / "a.onnx")
