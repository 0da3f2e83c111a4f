"""How the time of a frame grows: what is run, what is said of it, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from pose_tracking.benchmarks import scaling
from pose_tracking.benchmarks.pipeline import BenchmarkConfig
from pose_tracking.benchmarks.scaling import ScalingConfig, format_scaling, growth, plot_scaling, run_scaling
from pose_tracking.core.errors import ConfigError, PoseTrackingError

CONFIG = ScalingConfig(counts=(1, 5, 30), sizes=((320, 240), (1280, 720)), thread_counts=(1, 2))


def run_of(config: BenchmarkConfig) -> dict[str, Any]:
    """What a machine measures on which an object takes 10 ms, a frame 20, and a thread more saves nothing."""
    (count,) = config.counts
    if count > 20:
        raise PoseTrackingError(f"only 20 of {count} objects find a place")
    total = 20.0 + 10 * count + config.size[0] * config.size[1] / 1e5
    entry = {
        "latency_ms": {"total": {"median": total, "p99": 2 * total}},
        "cpu_ms": {"total": 20.0 + 10 * count},
        "p99_over_median": 2.0,
        "fps": 1e3 / total,
        "tracked": float(count),
        "followed": 0.5,
    }
    return {
        "model": config.model,
        "frames": config.frames,
        "segment_every": 1,
        "machine": {"cpu": "some", "cores": 2, "threads": config.threads, "device": "CPU"},
        "engines": {},
        "objects": {str(count): entry},
        "peak_memory_mb": 700.0,
    }


def test_one_thing_changes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[BenchmarkConfig] = []

    def measured(config: BenchmarkConfig) -> dict[str, Any]:
        runs.append(config)
        return run_of(config)

    monkeypatch.setattr(scaling, "run_benchmark", measured)
    data = run_scaling(CONFIG, BenchmarkConfig(frames=3, threads=7, counts=(2,)))
    seen = [(run.counts[0], run.size, run.threads) for run in runs]
    assert seen == [
        *((count, (640, 480), 2) for count in (1, 5, 30)),
        *((5, size, 2) for size in ((320, 240), (1280, 720))),
        *((5, (640, 480), threads) for threads in (1, 2)),
    ]
    assert {run.frames for run in runs} == {3}
    assert list(data["objects"]) == ["1", "5"]
    assert list(data["sizes"]) == ["320x240", "1280x720"]
    assert list(data["threads"]) == ["1", "2"]
    text = format_scaling(data)
    assert "left out: 30 objects (only 20 of 30 objects find a place)" in text
    assert "1280x720" in text
    assert plot_scaling(data).startswith(b"\x89PNG")


def test_where_nothing_can_be_measured_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "run_benchmark", run_of)
    with pytest.raises(PoseTrackingError, match="only 20 of 30 objects"):
        run_scaling(ScalingConfig(counts=(30,)), BenchmarkConfig())


@pytest.mark.parametrize(
    ("milliseconds", "last_over_first"),
    [
        ({1: 30.0, 5: 70.0, 20: 220.0}, 1.0),
        ({1: 2.0, 10: 101.0, 20: 401.0}, 1.43),
        ({1: 30.0, 10: 80.0, 20: 90.0}, 0.32),
    ],
)
def test_growth_tells_linear_from_faster(milliseconds: dict[int, float], last_over_first: float) -> None:
    grown = growth(milliseconds)
    assert grown is not None
    assert grown["last_over_first"] == pytest.approx(last_over_first, abs=0.01)
    if last_over_first == 1.0:
        assert (grown["frame_ms"], grown["object_ms"]) == pytest.approx((20.0, 10.0))
    assert growth({1: 3.0, 2: 4.0}) is None


def test_command_refuses_what_changes_by_itself() -> None:
    from pose_tracking.cli.benchmark import benchmark as command

    with pytest.raises(ConfigError, match="--threads says nothing to `benchmark scaling`"):
        command("scaling", threads=2, counts=None)
    with pytest.raises(ConfigError, match="--soak says nothing to `benchmark scaling`"):
        command("scaling", soak=2, counts=None)
