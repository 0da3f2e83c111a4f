"""Sweeps over lambda and motion: what they ask for, what they count and what they write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_cases import make_objects
from presence import present
from tracking_cases import frames

from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.evaluation.metrics.tracking import FURTHER_METRICS, METRICS
from pose_tracking.evaluation.trackers.baselines import BASELINES, available
from pose_tracking.evaluation.trackers.sweep import frame_rate, parse_baselines, parse_motions, parse_sweep, run_sweep
from pose_tracking.evaluation.trackers.sweep_report import SWEEP_FILES, format_sweep, load_sweep, write_sweep
from pose_tracking.objects import ObjectSet
from pose_tracking.tracking import TrackingConfig

COUNTS = ("id_switches", "fragmentations", "fp", "fn", "mt", "ml", "object_frames")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def data(objects: ObjectSet) -> dict:
    """Two scenes, the brick missing for a while in each: its track is lost after 5 frames and begins anew."""
    recorded = frames(30, 1, absent=tuple(range(10, 20))) + frames(30, 2, absent=(7,))
    config = TrackingConfig(max_age=5, reid_budget=0)
    found = run_sweep(recorded, objects, config, ["box", "pose"], [0.0, 0.25, 0.5])
    return found | {
        "source": "two <scenes>",
        "model": "boxes",
        "frames": len(recorded),
        "detections": "noisy-gt",
        "settings": {"camera_motion": True},
    }


def test_sweeps_are_parsed() -> None:
    assert parse_sweep("lambda=0,0.25, 1,0.25") == [0.0, 0.25, 1.0]
    assert parse_motions("box,pose,both") == ["box", "pose", "both"]
    assert parse_baselines("norfair, bytetrack") == ["norfair", "bytetrack"]
    assert parse_baselines("all") == list(BASELINES)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_sweep, "0,1", r"--sweep '0,1': expected lambda=VALUES"),
        (parse_sweep, "motion=box", "expected lambda=VALUES"),
        (parse_sweep, "lambda=", "a value is missing"),
        (parse_sweep, "lambda=0,,1", "a value is missing"),
        (parse_sweep, "lambda=0,much", "'much' is not a number"),
        (parse_sweep, "lambda=nan", "lambda nan is outside 0 to 1"),
        (parse_sweep, "lambda=0,1.5", "lambda 1.5 is outside 0 to 1"),
        (parse_motions, "box,orbit", "'orbit' is not one of box, pose, both"),
        (parse_motions, "", "a value is missing"),
        (parse_baselines, "norfair,sort", "'sort' is not one of deep-sort-realtime, norfair, bytetrack, all"),
        (parse_baselines, "", "a value is missing"),
    ],
)
def test_what_cannot_be_swept_is_named(parse, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_every_pair_has_a_row_of_scores(data: dict) -> None:
    pairs = [(row["motion"], row["lambda"]) for row in data["rows"]]
    assert pairs == [(motion, value) for motion in ("box", "pose") for value in (0.0, 0.25, 0.5)]
    for row in data["rows"]:
        assert set(row) == {"motion", "lambda", "objects", *METRICS, *FURTHER_METRICS}
        assert list(row["objects"]) == ["brick", "plate"]
        for scores in row["objects"].values():
            assert set(scores) == {*METRICS, *FURTHER_METRICS}


def test_the_counts_of_the_objects_add_up(data: dict) -> None:
    for row in data["rows"]:
        for name in COUNTS:
            assert row[name] == sum(scores[name] for scores in row["objects"].values())
        assert row["object_frames"] == 60 * 3
        assert row["id_switches"] == 1  # the brick that was away for longer than a track lives
        assert row["objects"]["brick"]["id_switches"] == 1
        assert row["switches_per_1000"] == pytest.approx(1000 / 180)
        assert row["objects"]["plate"]["idf1"] > row["idf1"] > row["objects"]["brick"]["idf1"]


def test_motion_and_lambda_reach_the_tracker(objects: ObjectSet) -> None:
    """Without appearance in the cost the two plates, which look unlike, are told apart by their places alone."""
    swapped = frames(12)
    for frame in swapped[6:]:
        a, b = present(frame.detections)[1:]
        a.feature, b.feature = b.feature, a.feature
    found = run_sweep(swapped, objects, TrackingConfig(motion_gate=1000, appearance_gate=2), ["box"], [0.0, 1.0])
    assert [row["id_switches"] for row in found["rows"]] == [2, 0]


def test_the_files_hold_all_of_it(data: dict, tmp_path: Path) -> None:
    write_sweep(data, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(SWEEP_FILES)
    assert json.loads((tmp_path / "sweep.json").read_text()) == data
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "sweep.html").read_text()
    assert "two &lt;scenes&gt;" in page
    assert page.count("<table>") == 1 + 2 * 2
    assert "data:image/png;base64," in page
    text = (tmp_path / "sweep.txt").read_text()
    titles = [f"lambda {value}, {motion} motion" for value in ("0.5", "0.25") for motion in ("box", "pose")]
    assert [line for line in text.splitlines() if line.startswith("lambda")] == titles
    assert text.count("overall") == 4
    assert "camera motion given" in text


def test_scores_that_are_not_known_are_a_dash(data: dict) -> None:
    empty = {**data["rows"][0], "motp": None, "idf1": None}
    assert format_sweep(data | {"rows": [empty]}).splitlines()[4].split()[:7] == [
        "box", "0", "1", str(empty["fragmentations"]), f"{empty['mota']:.1%}", "-", "-",
    ]  # fmt: skip


def test_the_frame_rate_is_that_within_the_scenes() -> None:
    assert frame_rate(frames(5, 1, rate=5) + frames(5, 2, rate=5)) == pytest.approx(5)
    assert frame_rate(frames(1)) == 10


@pytest.mark.parametrize("name", BASELINES)
def test_other_trackers_run_on_the_same_detections(name: str, objects: ObjectSet, tmp_path: Path) -> None:
    if name not in available():
        with pytest.raises(ConfigError, match=f"baseline {name} cannot be used here"):
            run_sweep(frames(3), objects, TrackingConfig(), ["box"], [0.5], [name])
        return
    found = run_sweep(frames(30), objects, TrackingConfig(), ["box"], [0.5], [name])
    (baseline,) = found["baselines"]
    assert set(baseline) == {"name", "objects", *METRICS, *FURTHER_METRICS}
    assert baseline["idf1"] > 0.6
    data = found | {"source": "a", "model": "b", "frames": 30, "detections": "c", "settings": {"camera_motion": True}}
    write_sweep(data, tmp_path)
    assert name in (tmp_path / "sweep.txt").read_text()


def test_a_sweep_of_version_0_1_0_is_read(data: dict, tmp_path: Path) -> None:
    """It had no schema, and called the other trackers peers."""
    others = [{"name": "norfair", "idf1": 0.5}]
    old = {key: value for key, value in data.items() if key != "baselines"} | {"peers": others}
    (tmp_path / "sweep.json").write_text(json.dumps(old))
    read = load_sweep(tmp_path / "sweep.json")
    assert (read["schema"], read["baselines"], read["rows"]) == (2, others, data["rows"])
    assert "peers" not in read
    write_sweep(data, tmp_path)
    assert load_sweep(tmp_path / "sweep.json")["rows"] == data["rows"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not a sweep"), ("[]", "not a sweep of"), ('{"schema": 3, "rows": [], "settings": {}}', "of schema 3")],
)
def test_what_is_no_sweep_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_sweep(tmp_path / "sweep.json")
