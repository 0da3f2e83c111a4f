"""Parts in int8: of which weights they are, what refuses them, and that they are run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pose_tracking.core.errors import BundleError, ConfigError, OutputError
from pose_tracking.networks.engines import choice, quantizing
from pose_tracking.networks.engines.cache import ModelCache
from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.engine import Part
from pose_tracking.networks.engines.quantized import FOLDER, store, stored
from pose_tracking.networks.engines.quantizing import quantize, require_nncf, save

openvino_engine: Any = pytest.importorskip("pose_tracking.networks.engines.openvino_engine")
INT8 = InferenceConfig(precision="int8")


class Small(nn.Module):
    """Two convolutions, as a trunk has many."""

    def __init__(self, outputs: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, outputs, 3, 2, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        first = torch.relu(self.first(image))
        return first, self.second(first)


def part_of(module: nn.Module) -> Part:
    return Part("small", module.eval(), (torch.rand(1, 3, 32, 32),), ((2, 3),))


def graph_of(module: nn.Module, path: Path) -> Path:
    """The graph of a module as it is, not in int8."""
    with torch.no_grad():
        save(openvino_engine.converted(part_of(module)), path)
    return path


def fake(path: Path) -> None:
    path.write_text("<net/>")
    path.with_suffix(".bin").write_bytes(b"numbers")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of weights alone."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    return folder


def test_what_is_stored_is_found_again_with_its_figures(bundle: Path) -> None:
    graph = store(bundle, "small", bundle / "weights", fake, {"map50": 0.9})
    assert stored(bundle, bundle / "weights") == {"small": graph}
    assert json.loads((bundle / FOLDER / "about.json").read_text())["map50"] == 0.9
    store(bundle, "small", bundle / "weights", fake, {"map50": 0.8})  # takes the place of the one before
    assert sorted(file.name for file in (bundle / FOLDER).iterdir()) == ["about.json", "trunk.bin", "trunk.xml"]
    assert json.loads((bundle / FOLDER / "about.json").read_text())["map50"] == 0.8


def damage_graph(folder: Path) -> None:
    (folder / "trunk.bin").write_bytes(b"cut")


def damage_text(folder: Path) -> None:
    (folder / "about.json").write_text("{")


def lose_graph(folder: Path) -> None:
    (folder / "trunk.xml").unlink()


def retrain(folder: Path) -> None:
    (folder.parent / "weights").write_bytes(b"2")


@pytest.mark.parametrize(
    ("change", "reason"),
    [(damage_graph, "damaged"), (damage_text, "damaged"), (lose_graph, "damaged"), (retrain, "other weights")],
)
def test_what_does_not_belong_to_the_weights_is_refused(bundle: Path, change: Any, reason: str) -> None:
    store(bundle, "small", bundle / "weights", fake, {})
    change(bundle / FOLDER)
    with pytest.raises(ConfigError, match=reason) as caught:
        stored(bundle, bundle / "weights")
    assert "pose-tracking optimize" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_bundle_without_int8_says_how_to_get_it(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="pose-tracking optimize --model"):
        stored(bundle, bundle / "weights")


def test_a_failed_write_leaves_what_was_there(bundle: Path) -> None:
    def fails(path: Path) -> None:
        raise OSError(28, "No space left on device")

    graph = store(bundle, "small", bundle / "weights", fake, {})
    with pytest.raises(OutputError, match="No space left"):
        store(bundle, "small", bundle / "weights", fails, {})
    assert stored(bundle, bundle / "weights") == {"small": graph}


def test_a_stage_without_int8_runs_as_by_itself() -> None:
    assert str(choose_engine(INT8)) == str(choose_engine(InferenceConfig()))


@pytest.mark.parametrize(
    ("config", "device", "reason"),
    [
        (InferenceConfig("torch", "int8"), "cpu", "engine 'torch'"),
        (InferenceConfig("onnxruntime", "int8"), "cpu", "engine 'onnxruntime'"),
        (INT8, "cuda:0", "the device cuda:0"),
    ],
)
def test_int8_elsewhere_is_refused(config: InferenceConfig, device: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        choose_engine(config, device, {"small": Path("x")})


def test_without_openvino_or_on_an_old_processor_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "computes_int8", lambda: False)
    with pytest.raises(ConfigError, match="this processor has no int8"):
        choose_engine(INT8, "cpu", {"small": Path("x")})
    monkeypatch.setattr(choice, "_engine_module", lambda name: f"No module named {name!r}")
    with pytest.raises(ConfigError, match="pip install openvino"):
        choose_engine(INT8, "cpu", {"small": Path("x")})


@pytest.mark.parametrize("name", ["nncf", "openvino"])
def test_what_is_not_installed_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def absent(module: str) -> None:
        if module == name:
            raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(quantizing.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match=rf"needs {name} .*pip install 'pose_tracking\[optimize\]'"):
        require_nncf()


def test_the_graph_of_the_file_is_what_runs_and_is_kept(tmp_path: Path) -> None:
    """The file has other weights than the module: its numbers come out, from the cache too."""
    stands_in, cache = Small(), ModelCache(tmp_path / "cache")
    with torch.no_grad():
        stands_in.second.weight *= -1.0
    file = graph_of(stands_in, tmp_path / "trunk.xml")
    image = torch.rand(1, 3, 64, 48)
    with torch.no_grad():
        wanted = stands_in(image)
    for _ in range(2):
        engine = openvino_engine.OpenVinoEngine("int8", cache, {"small": file})
        for want, got in zip(wanted, engine.compile(part_of(Small()))(image), strict=True):
            assert float((want - got).norm() / want.norm()) < 0.02  # bf16, where the processor has it
        assert (str(engine), engine.on_torch) == ("openvino int8", [])
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_part_without_a_file_runs_in_what_the_processor_has(tmp_path: Path) -> None:
    engine = openvino_engine.OpenVinoEngine("int8", ModelCache(None), {})
    image = torch.rand(1, 3, 64, 48)
    module = Small()
    with torch.no_grad():
        wanted = module(image)
    for want, got in zip(wanted, engine.compile(part_of(module))(image), strict=True):
        assert float((want - got).norm() / want.norm()) < 0.02


def test_the_graph_of_another_network_is_refused(tmp_path: Path) -> None:
    file = graph_of(Small(outputs=4), tmp_path / "trunk.xml")
    engine = openvino_engine.OpenVinoEngine("int8", ModelCache(None), {"small": file})
    with pytest.raises(BundleError, match="repeat `pose-tracking optimize`") as caught:
        engine.compile(part_of(Small()))
    assert len(str(caught.value).splitlines()) == 1


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    fake(tmp_path / "trunk.xml")
    engine = openvino_engine.OpenVinoEngine("int8", ModelCache(None), {"small": tmp_path / "trunk.xml"})
    with pytest.raises(BundleError, match="cannot run the small in int8"):
        engine.compile(part_of(Small()))


@pytest.mark.skipif(importlib.util.find_spec("nncf") is None, reason="needs nncf")
def test_quantised_it_gives_nearly_the_same_in_int8(tmp_path: Path) -> None:
    part, inputs = part_of(Small()), [(torch.rand(1, 3, 32, 32),) for _ in range(8)]
    model = quantize(part, inputs)
    assert any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
    save(model, tmp_path / "trunk.xml")
    run = openvino_engine.OpenVinoEngine("int8", ModelCache(None), {"small": tmp_path / "trunk.xml"}).compile(part)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = part.module(image)
    for want, got in zip(wanted, run(image), strict=True):
        assert 1e-4 < float((want - got).norm() / want.norm()) < 0.1
    with pytest.raises(ConfigError, match="give at least one"):
        quantize(part, [])
