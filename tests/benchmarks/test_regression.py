"""A run of the benchmark beside an earlier one: what is slower or faster, and what cannot be compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from documents import ROOT

from pose_tracking.benchmarks import pipeline
from pose_tracking.benchmarks.pipeline import BenchmarkConfig
from pose_tracking.benchmarks.regression import MARGIN, compare, load_benchmark
from pose_tracking.benchmarks.worker import SCHEMA
from pose_tracking.cli.benchmark import benchmark as command
from pose_tracking.core.errors import ConfigError, DatasetError


def run(**stages: float) -> dict[str, Any]:
    ratios = {"segmentation": 4.0, "pose": 3.0, "tracking": 0.2, "total": 7.2} | stages
    return {
        "schema": SCHEMA,
        "model": "demo",
        "scenes": "sequence",
        "image": "640x480",
        "segment_every": 1,
        "engines": {"segmentation": "torch"},
        "reference_ms": 20.0,
        "objects": {"1": {"cpu_over_reference": dict(ratios)}, "5": {"cpu_over_reference": dict(ratios)}},
    }


def test_equal_runs_differ_in_nothing() -> None:
    assert compare(run(), run()) == ([], False)
    assert compare(run(pose=3.0 * (1 + 0.9 * MARGIN)), run()) == ([], False)


def test_what_is_slower_is_named_with_its_stage_and_number_of_objects() -> None:
    now = run()
    now["objects"]["5"]["cpu_over_reference"]["pose"] = 4.5
    assert compare(now, run()) == (["5 objects, pose: slower, 3.00 -> 4.50 times the reference work"], True)


def test_what_is_faster_is_said_and_no_failure() -> None:
    lines, is_slower = compare(run(segmentation=1.0), run())
    assert [line.split(",")[1].strip() for line in lines] == ["segmentation: faster"] * 2
    assert not is_slower


def test_other_engines_are_said() -> None:
    now = run() | {"engines": {"segmentation": "openvino bf16"}}
    assert compare(now, run())[0] == ["other engines: segmentation on torch there, segmentation on openvino bf16 here"]


@pytest.mark.parametrize(("name", "value"), [("model", "linemod"), ("scenes", "independent"), ("segment_every", 5)])
def test_unlike_runs_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"--compare: {name} is"):
        compare(run() | {name: value}, run())
    with pytest.raises(ConfigError, match="no number of objects is in both; there: 1, 5"):
        compare(run() | {"objects": {"8": {}}}, run())


def test_the_command_ends_with_1_where_it_is_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    earlier, configs = tmp_path / "earlier.json", []
    earlier.write_text(json.dumps(run()))

    def measured(config: BenchmarkConfig) -> dict[str, Any]:
        configs.append(config)
        return run(pose=9.0)

    monkeypatch.setattr(pipeline, "run_benchmark", measured)
    monkeypatch.setattr(pipeline, "format_benchmark", lambda data: "table")
    with pytest.raises(typer.Exit) as caught:
        command(counts=[5], compare=earlier, scenes="sequence")
    assert caught.value.exit_code == 1
    assert "5 objects, pose: slower, 3.00 -> 9.00" in capsys.readouterr().out
    assert (configs[0].counts, configs[0].frames, configs[0].scenes) == ((5,), 60, "sequence")


def test_files_that_are_none_of_the_benchmark_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(DatasetError, match="not a benchmark of `pose-tracking benchmark`"):
        load_benchmark(path)
    path.write_text(json.dumps(run() | {"schema": 1}))
    with pytest.raises(DatasetError, match="of schema 1; this version reads 2"):
        load_benchmark(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_benchmark(tmp_path / "none.json")


def test_the_committed_file_can_be_compared_with() -> None:
    committed = load_benchmark(ROOT / "docs" / "benchmark.json")
    assert compare(copy.deepcopy(committed), committed) == ([], False)
    assert set(committed["objects"]) == {"1", "5", "8"}
