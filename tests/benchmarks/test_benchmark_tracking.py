"""The benchmark of the tracker: its detections are seeded, its galleries full, its ratios those of its medians."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from presence import present
from typer.testing import CliRunner

from pose_tracking.benchmarks import tracking as benchmark_tracking
from pose_tracking.benchmarks.scene import FEATURE_SIZE, MISSES, RATE, Crowd, covered_share, make_frames, one_object
from pose_tracking.benchmarks.tracking import (
    DEEP_SORT,
    OURS,
    WARM_UP,
    TrackingBenchmarkConfig,
    format_tracking,
    make_trackers,
    plot_tracking,
    resident_mb,
    run_soak,
    run_tracking_benchmark,
    soak,
    summarize,
    time_updates,
)
from pose_tracking.cli.benchmark import benchmark
from pose_tracking.core.errors import ConfigError, OutputError, PoseTrackingError
from pose_tracking.evaluation.trackers.baselines import BASELINES, UNLIMITED, available
from pose_tracking.tracking import Tracker, TrackingConfig


def cli(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(benchmark)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, PoseTrackingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_tracking, "WARM_UP", 5)


def test_the_scene_is_repeatable() -> None:
    first, again, other = make_frames(6, 10, 3), make_frames(6, 10, 3), make_frames(6, 10, 4)
    for a, b in zip(first, again, strict=True):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x.box, y.box)
            np.testing.assert_array_equal(x.feature, y.feature)
            np.testing.assert_array_equal(present(x.pose).pose, present(y.pose).pose)
    assert not np.array_equal(first[0][0].box, other[0][0].box)


def test_the_scene_has_the_number_of_objects_asked_for() -> None:
    frames = make_frames(30, 100, 0)
    mean = np.mean([len(frame) for frame in frames])
    assert 0.85 * 30 < mean <= 30 * (1 - MISSES) + 0.5
    assert min(len(frame) for frame in frames) < max(len(frame) for frame in frames)
    detection = frames[0][0]
    estimate = present(detection.pose)
    assert present(detection.feature).shape == (FEATURE_SIZE,)
    assert estimate.covariance.shape == (6, 6)
    np.testing.assert_allclose(estimate.pose[:3, :3] @ estimate.pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert all(d.box[0] < d.box[2] and d.box[1] < d.box[3] for frame in frames for d in frame)


def test_covered_share_counts_nearer_boxes_only() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10]])
    np.testing.assert_allclose(covered_share(boxes, np.array([1.0, 2.0, 1.0])), [0, 0.5, 0])
    np.testing.assert_allclose(covered_share(boxes, np.array([2.0, 1.0, 1.0])), [0.5, 0, 0])


def test_turnover_brings_new_identities() -> None:
    def identities(turnover: float) -> int:
        tracker, crowd = Tracker(TrackingConfig(), one_object()), Crowd(4, 0, turnover)
        return max(t.track_id for i in range(200) for t in tracker.update(crowd.step(), i / RATE))

    assert identities(1 / 20) > identities(0.0)


def test_galleries_are_full_when_the_clock_starts() -> None:
    tracker = Tracker(TrackingConfig(), one_object())
    for number, detections in enumerate(make_frames(10, WARM_UP, 1)):
        tracker.update(detections, number / RATE)
    lengths = sorted(len(track.gallery) for track in tracker.tracks if track.is_confirmed)
    assert lengths[len(lengths) // 4] == TrackingConfig().gallery_budget


def test_all_trackers_take_the_same_frames_in_turn() -> None:
    calls: list[tuple[str, int, float]] = []
    names = ("a", "b", "c")
    trackers = {name: (lambda d, stamp, name=name: calls.append((name, id(d), stamp))) for name in names}
    frames = make_frames(1, 6, 0)
    times = time_updates(trackers, frames, warm_up=2)
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys(names, 4)
    for i, frame in enumerate(frames):
        turn = calls[3 * i : 3 * i + 3]
        assert sorted(name for name, _, _ in turn) == sorted(names)
        assert {(given, stamp) for _, given, stamp in turn} == {(id(frame), i / RATE)}
    assert {calls[3 * i][0] for i in range(6)} == set(names)


def test_ratios_are_those_of_the_medians() -> None:
    entry = summarize({OURS: [0.002, 0.001, 0.9], "other": [0.004, 0.006, 0.005]})
    assert entry["milliseconds"][OURS]["median"] == pytest.approx(2.0)
    assert entry["ratios"] == {OURS: 1.0, "other": pytest.approx(2.5)}


@pytest.mark.usefixtures("short")
def test_a_run_holds_all_counts_and_trackers() -> None:
    data = run_tracking_benchmark(TrackingBenchmarkConfig(counts=(2, 4), frames=3))
    assert list(data["objects"]) == ["2", "4"]
    names = {OURS, DEEP_SORT, *available(), *(f"{name}, no limit" for name in UNLIMITED if name in available())}
    for entry in data["objects"].values():
        assert set(entry["milliseconds"]) == set(entry["ratios"]) == names
        ours = entry["milliseconds"][OURS]["median"]
        for name in names:
            assert entry["ratios"][name] == pytest.approx(entry["milliseconds"][name]["median"] / ours)
    assert set(data["missing"]) == set(BASELINES) - set(available())
    assert data["soak"] is None
    text = format_tracking(data)
    assert all(re.search(rf"^{re.escape(name)} +\d", text, re.MULTILINE) for name in names)
    assert all(f"not installed: {name}" in text for name in data["missing"])
    assert plot_tracking(data).startswith(b"\x89PNG")


def test_without_baselines_only_ours_are_timed() -> None:
    assert set(make_trackers([])) == {OURS, DEEP_SORT}


def test_soak_tells_memory_and_tracks() -> None:
    data = soak(60, seed=0, count=4)
    assert [point["frame"] for point in data["points"]] == [12, 24, 36, 48, 60]
    assert all(set(point) == {"frame", "rss_mb", "live", "lost"} for point in data["points"])
    assert data["growth_mb"] == pytest.approx(data["points"][-1]["rss_mb"] - data["points"][0]["rss_mb"])
    assert all(point["live"] > 0 for point in data["points"])
    assert data["identities"] >= 4


def test_soak_runs_in_its_own_process() -> None:
    block = np.ones(400_000_000, np.uint8)
    here = resident_mb()
    data = run_soak(5, seed=0)
    assert [point["frame"] for point in data["points"]] == [1, 2, 3, 4, 5]
    assert data["points"][0]["rss_mb"] < here
    assert here > block.nbytes / 1e6


@pytest.mark.usefixtures("short")
def test_the_command_writes_figures_and_plot(tmp_path: Path) -> None:
    out = tmp_path / "tracking.json"
    arguments = ("--count", 3, "--count", 2, "--frames", 2, "--baselines", "", "--soak", 5, "--seed", 1, "--out", out)
    text = cli("tracking", *arguments)
    data = json.loads(out.read_text())
    assert list(data["objects"]) == ["2", "3"]
    assert list(data["objects"]["2"]["ratios"]) == [OURS, DEEP_SORT]
    assert (data["seed"], data["frames"], data["soak"]["frames"]) == (1, 2, 5)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "growth since the first point" in text
    assert str(out) in text


def test_the_former_name_of_baselines_still_works_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ConfigError, match="baseline 'sort' is not one of"):
        cli("tracking", "--peers", "sort")
    assert "--peers is now called --baselines" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("poses",), "benchmark poses: there are only pipeline, scaling, tracking, gallery"),
        (("tracking", "--baselines", "sort"), "baseline 'sort' is not one of"),
        (("tracking", "--model", "linemod"), "--model says nothing to `benchmark tracking`"),
        (("--soak", "10"), "--soak says nothing to `benchmark pipeline`"),
        (("tracking", "--count", "1000000"), "counts = 1000000 is outside"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        cli(*arguments)


def test_the_plot_does_not_take_the_place_of_the_figures(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="name the JSON file"):
        cli("tracking", "--out", tmp_path / "tracking.png")
