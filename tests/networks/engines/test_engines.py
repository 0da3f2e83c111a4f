"""Every engine gives what PyTorch gives, and PyTorch steps in where one cannot."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest
import torch
from torch import Tensor, nn

from pose_tracking.core.device import computes_bf16
from pose_tracking.networks.engines.cache import ModelCache
from pose_tracking.networks.engines.engine import Engine, Part, TorchEngine
from pose_tracking.networks.engines.graph_engine import GraphEngine

ENGINES = {"openvino": ("OpenVinoEngine", ["openvino"]), "onnxruntime": ("OnnxRuntimeEngine", ["onnxruntime", "onnx"])}


def make(name: str, folder: Path, precision: str = "fp32") -> GraphEngine:
    """A graph engine with its cache in `folder`; skips where its packages are not installed."""
    kind, packages = ENGINES[name]
    for package in packages:
        pytest.importorskip(package)
    module = importlib.import_module(f"pose_tracking.networks.engines.{name}_engine")
    return getattr(module, kind)(precision, ModelCache(folder))


class Head(nn.Module):
    """A convolution and a layer on its mean, with a number of maps that varies."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(4, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.conv(maps))
        return x, self.linear(x.mean((2, 3)))


class Baked(Head):
    """One whose graph holds the number of maps it was exported with."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(maps)[0], torch.ones(len(maps), 3)


class Unexportable(Head):
    """One that no converter follows."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        if not maps.is_contiguous() or torch.jit.is_tracing():
            raise RuntimeError("not to be exported\nwith details")
        return super().forward(maps)


def part(module: nn.Module, exact: bool = False) -> Part:
    return Part("head", module.eval(), (torch.rand(2, 4, 6, 6),), ((0, 2, 3),), exact)


@pytest.fixture
def head() -> Head:
    torch.manual_seed(0)
    return Head()


@pytest.mark.parametrize("name", ENGINES)
def test_any_number_and_size_gives_what_torch_gives(name: str, head: Head, tmp_path: Path) -> None:
    engine = make(name, tmp_path)
    run = engine.compile(part(head))
    assert str(engine) == f"{name} fp32"
    for count, side in ((1, 6), (7, 5), (0, 6), (3, 12)):
        maps = torch.rand(count, 4, side, side)
        with torch.no_grad():
            wanted = head(maps)
        for got, want in zip(run(maps), wanted, strict=True):
            assert got.dtype == torch.float32
            torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_results_outlive_the_next_call(name: str, head: Head, tmp_path: Path) -> None:
    run = make(name, tmp_path).compile(part(head))
    first = run(torch.rand(2, 4, 6, 6))
    before = [output.clone() for output in first]
    run(torch.rand(2, 4, 6, 6))
    for output, kept in zip(first, before, strict=True):
        torch.testing.assert_close(output, kept, atol=0, rtol=0)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("kind", [Baked, Unexportable])
def test_what_cannot_be_exported_stays_on_torch_and_is_named(
    name: str, kind: type[Head], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(name, tmp_path)
    run = engine.compile(part(kind()))
    assert run(torch.rand(5, 4, 6, 6))[1].shape == (5, 3)
    assert str(engine) == f"{name} fp32 (head on torch)"
    (line,) = [message for message in caplog.messages if "stays on torch" in message]
    assert len(line.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ENGINES)
def test_the_second_start_exports_nothing(
    name: str, head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = torch.rand(3, 4, 6, 6)
    first = make(name, tmp_path).compile(part(head))(maps)
    engine = make(name, tmp_path)
    monkeypatch.setattr(engine, "_export", lambda *_: pytest.fail("exported again"))
    for again, once in zip(engine.compile(part(head))(maps), first, strict=True):
        torch.testing.assert_close(again, once, atol=0, rtol=0)


@pytest.mark.parametrize("name", ENGINES)
def test_other_weights_are_exported_anew(name: str, head: Head, tmp_path: Path) -> None:
    make(name, tmp_path).compile(part(head))
    with torch.no_grad():
        head.linear.bias.add_(1)
    maps = torch.rand(2, 4, 6, 6)
    got = make(name, tmp_path).compile(part(head))(maps)[1]
    torch.testing.assert_close(got, head(maps)[1].detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_a_kept_graph_that_the_library_refuses_is_made_again(
    name: str, head: Head, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(name, tmp_path).compile(part(head))
    (file,) = tmp_path.iterdir()
    ModelCache(tmp_path).write(file.name, b"whole, but no graph")
    engine = make(name, tmp_path)
    assert len(engine.compile(part(head))(torch.rand(2, 4, 6, 6))) == 2
    assert f"{name} does not take it" in caplog.text
    assert engine.on_torch == []
    assert file.stat().st_size > 100


def test_bf16_is_close_and_exact_parts_stay_fp32(head: Head, tmp_path: Path) -> None:
    engine = make("openvino", tmp_path, "bf16")
    if not importlib.import_module("pose_tracking.networks.engines.openvino_engine").computes_bf16():
        pytest.skip("this CPU has no bf16")
    _compare_precisions(engine, head)


def test_torch_in_bf16_is_close_and_exact_parts_stay_fp32(head: Head) -> None:
    if not computes_bf16(torch.device("cpu")):
        pytest.skip("this CPU has no bf16")
    _compare_precisions(TorchEngine("bf16"), head)


def _compare_precisions(engine: Engine, head: Head) -> None:
    maps = torch.rand(3, 4, 16, 16)
    with torch.no_grad():
        wanted = head(maps)[1]
        close, exact = (engine.compile(part(head, exact))(maps)[1] for exact in (False, True))
    assert close.dtype == torch.float32
    assert 1e-5 < float((close - wanted).norm() / wanted.norm()) < 0.02
    torch.testing.assert_close(exact, wanted, atol=1e-5, rtol=1e-4)


def test_torch_follows_weights_in_training(head: Head) -> None:
    run = TorchEngine().compile(part(head))
    maps = torch.rand(2, 4, 6, 6)
    before = run(maps)[1]
    with torch.no_grad():
        head.linear.bias.add_(1)
    torch.testing.assert_close(run(maps)[1], before + 1)


def test_signals_arrive_after_engines_have_come_and_gone(tmp_path: Path) -> None:
    """In a process of its own: what goes wrong here ends it with a segmentation fault."""
    pytest.importorskip("openvino")
    script = """
import gc, os, signal, torch
from pose_tracking.networks.engines.engine import Part
from pose_tracking.networks.engines.openvino_engine import OpenVinoEngine, computes_bf16

computes_bf16()

class Layer(torch.nn.Linear):
    def forward(self, x):
        return (super().forward(x),)

part = Part("layer", Layer(3, 2), (torch.ones(1, 3),), ((0,),))
runs = [(engine, engine.compile(part)) for engine in (OpenVinoEngine(), OpenVinoEngine())]
assert not any(engine.on_torch for engine, _ in runs)
while runs:
    runs.pop(0)
    gc.collect()
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
os.kill(os.getpid(), signal.SIGTERM)
print("arrived", len(seen))
"""
    environment = os.environ | {"POSE_TRACKING_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["arrived", "1"], done.stderr[-2000:]


class Watched(Head):
    """One that is traced until a kernel was compiled meanwhile, or two seconds have passed."""

    def __init__(self) -> None:
        super().__init__()
        self.traced, self.compiled = threading.Event(), threading.Event()

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        if torch.jit.is_tracing():
            self.traced.set()
            self.compiled.wait(2.0)
        return super().forward(maps)


@pytest.mark.parametrize("name", ENGINES)
def test_a_kernel_compiled_while_a_network_is_converted_is_right(name: str, tmp_path: Path) -> None:
    # OpenVINO replaces Python's `divmod` while it traces: Numba once took the stand-in for its own and failed for good.
    @numba.njit  # not kept on disk
    def split(number: float) -> tuple[float, float]:
        return divmod(number, 7)

    split(23.0)  # the first one takes longest
    network = Watched()

    def compile_beside() -> tuple[float, float]:
        assert network.traced.wait(60.0)
        try:
            return split(23)
        finally:
            network.compiled.set()

    engine = make(name, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        compiling = pool.submit(compile_beside)
        engine.compile(part(network))
        assert compiling.result() == (3, 2)
