"""`pose-tracking optimize`: what it refuses before long work, and when it keeps what it has made."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli import optimize as command
from pose_tracking.core.errors import ConfigError, OutputError
from pose_tracking.evaluation import quantization
from pose_tracking.evaluation.quantization import Comparison, Figures, check_quantizable
from pose_tracking.networks.engines.config import InferenceConfig

GOOD = Figures(0.95, 0.02, 100)


@pytest.fixture(scope="module")
def demo() -> ModelBundle:
    return ModelBundle.load("demo")


@pytest.mark.parametrize(
    ("int8", "objections"),
    [
        (GOOD, []),
        (Figures(0.941, 0.02, 100), []),
        (Figures(0.939, 0.02, 100), ["mAP50 falls from 95.0% to 93.9%"]),
        (Figures(0.95, 0.03, 100), ["false positives rise from 0.020 to 0.030 a frame"]),
        (Figures(0.99, 0.01, 100), []),
    ],
)
def test_more_than_a_point_or_any_false_positive_is_too_much(int8: Figures, objections: list[str]) -> None:
    assert Comparison(GOOD, int8, "openvino bf16", 60).objections == objections


@pytest.mark.parametrize(("objections", "status"), [(False, None), (True, 1)])
def test_both_figures_are_stated_and_what_is_worse_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], objections: bool, status: int
) -> None:
    int8 = replace(GOOD, map50=0.5) if objections else GOOD
    monkeypatch.setattr(quantization, "check_quantizable", lambda bundle: None)
    monkeypatch.setattr(quantization, "make_int8", lambda *given: Comparison(GOOD, int8, "openvino bf16", 8))
    if status is None:
        command.optimize("demo", tmp_path / "out", threads=1)
    else:
        import typer

        with pytest.raises(typer.Exit) as caught:
            command.optimize("demo", tmp_path / "out", threads=1)
        assert caught.value.exit_code == status
    said = capsys.readouterr()
    assert "openvino bf16: mAP50 95.0%, 0.020 false positives a frame" in said.out
    assert ("int8: mAP50 50.0%" in said.out) == objections
    assert ("not kept: mAP50 falls" in said.err) == objections
    assert ("kept in" in said.out) != objections


def test_an_output_that_cannot_be_is_refused_before_long_work(demo: ModelBundle, tmp_path: Path) -> None:
    assert command.check_out(demo, tmp_path / "new") == tmp_path / "new"
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        command.check_out(demo, tmp_path / "there")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        command.check_out(demo, tmp_path / "file" / "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_bundle_names_the_option(demo: ModelBundle, tmp_path: Path) -> None:
    bundle = replace(demo, path=tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="name another folder with --out"):
            command.check_out(bundle, None)
    finally:
        tmp_path.chmod(0o700)


def test_without_nncf_the_command_that_installs_it_is_named(demo: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.networks.engines import quantizing

    def absent(name: str) -> None:
        if name == "nncf":
            raise ModuleNotFoundError("No module named 'nncf'")

    monkeypatch.setattr(quantizing.importlib, "import_module", absent)
    with pytest.raises(ConfigError, match="pip install"):
        check_quantizable(demo)


def test_other_detectors_and_old_processors_are_refused(demo: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = pytest.importorskip("pose_tracking.networks.engines.openvino_engine")
    monkeypatch.setattr(quantization, "require_nncf", lambda: None)
    segmentation = replace(demo.config.segmentation, backend="depth_segments")
    other = replace(demo, config=replace(demo.config, segmentation=segmentation))
    with pytest.raises(ConfigError, match="backend 'depth_segments' cannot be made in int8"):
        check_quantizable(other)
    monkeypatch.setattr(engine, "computes_int8", lambda: False)
    with pytest.raises(ConfigError, match="this processor has no int8"):
        check_quantizable(demo)


def test_a_bundle_without_int8_refuses_the_precision_and_names_the_command(demo: ModelBundle) -> None:
    with pytest.raises(ConfigError, match="pose-tracking optimize --model"):
        demo.build_segmenter("cpu", InferenceConfig(precision="int8"))


@pytest.mark.parametrize("backend", ["graph", "torchvision_zoo"])
def test_detectors_of_others_have_no_int8(demo: ModelBundle, backend: str) -> None:
    segmentation = replace(demo.config.segmentation, backend=backend)
    other = replace(demo, config=replace(demo.config, segmentation=segmentation))
    with pytest.raises(ConfigError, match=f"backend '{backend}' has none"):
        other.build_segmenter("cpu", InferenceConfig(precision="int8"))
