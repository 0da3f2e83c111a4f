"""Which engine runs the networks: what is asked for by name is there or refused, auto takes what there is."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.networks.engines import choice
from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.engine import TorchEngine


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    choice._engine_module.cache_clear()
    choice._say_slow.cache_clear()
    yield
    choice._engine_module.cache_clear()
    choice._say_slow.cache_clear()


def importing(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Importing an engine's module gives `answer`, or raises it."""

    def module(name: str) -> Any:
        assert name.startswith("pose_tracking.networks.engines.")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(choice, "importlib", SimpleNamespace(import_module=module))


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'openvino'"), OSError("libtbb.so: no such")])
def test_without_openvino_auto_takes_torch_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    importing(monkeypatch, error)
    assert [str(choose_engine(InferenceConfig())) for _ in range(2)] == ["torch fp32"] * 2
    (line,) = caplog.messages
    assert "pip install openvino" in line
    assert str(error) in line


@pytest.mark.parametrize(
    ("engine", "command"), [("openvino", "pip install openvino"), ("onnxruntime", "pip install onnxruntime onnx")]
)
def test_an_engine_asked_for_by_name_is_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch, engine: str, command: str
) -> None:
    importing(monkeypatch, ModuleNotFoundError("No module named 'x'"))
    with pytest.raises(ConfigError, match=command) as caught:
        choose_engine(InferenceConfig(engine))
    assert len(str(caught.value).splitlines()) == 1


def test_a_cpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, SimpleNamespace(computes_bf16=lambda: False, OpenVinoEngine=lambda p: f"openvino {p}"))
    monkeypatch.setattr(choice, "computes_bf16", lambda device: False)
    assert choose_engine(InferenceConfig()) == "openvino fp32"
    for engine in ("openvino", "torch"):
        with pytest.raises(ConfigError, match="no bf16"):
            choose_engine(InferenceConfig(engine, "bf16"))


def test_a_cpu_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, SimpleNamespace(computes_bf16=lambda: True, OpenVinoEngine=lambda p: f"openvino {p}"))
    assert choose_engine(InferenceConfig()) == "openvino bf16"
    assert choose_engine(InferenceConfig("openvino", "fp32")) == "openvino fp32"


def test_a_gpu_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, AssertionError("must not be looked for"))
    assert isinstance(choose_engine(InferenceConfig(), "cuda:0"), TorchEngine)
    with pytest.raises(ConfigError, match="device is cuda:0"):
        choose_engine(InferenceConfig("openvino"), "cuda:0")


def test_onnxruntime_has_no_bf16() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    with pytest.raises(ConfigError, match="onnxruntime computes in fp32"):
        choose_engine(InferenceConfig("onnxruntime", "bf16"))


def test_torch_is_the_reference_in_fp32() -> None:
    engine = choose_engine(InferenceConfig("torch"))
    assert (type(engine), engine.precision) == (TorchEngine, "fp32")


def test_what_is_given_goes_before_the_bundle() -> None:
    config = InferenceConfig("torch", "fp32")
    assert config.with_given() == config
    assert config.with_given(engine="openvino") == InferenceConfig("openvino", "fp32")
    with pytest.raises(ConfigError, match="tensorrt"):
        config.with_given(engine="tensorrt")


def test_every_engine_has_a_module() -> None:
    for name in choice.PACKAGES:
        assert importlib.util.find_spec(f"pose_tracking.networks.engines.{name}_engine") is not None
