from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from presence import objects_of, present
from typer.testing import CliRunner

from pose_tracking.cli.main import build
from pose_tracking.cli.simulate import simulate
from pose_tracking.core.boxes import box_iou
from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.bop import BopScene
from pose_tracking.datasets.mot import read_sequence
from pose_tracking.datasets.mot_rows import read_rows
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.simulation.sequences import presets

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"
STRESS_SEED = 92006


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(simulate)
    return lambda *args: CliRunner().invoke(app, [str(a) for a in args])


def test_a_sequence_becomes_a_bop_scene_with_identities(run, tmp_path):
    result = run("--model", DEMO, "--frames", 2, "--seed", 3, "--out", tmp_path / "scene")
    assert result.exit_code == 0, result.output
    samples = list(BopScene(tmp_path / "scene"))
    assert len(samples) == 2
    for sample in samples:
        assert sample.frame.camera_pose is not None
        assert len(objects_of(sample)) >= 5
        for entry in objects_of(sample):
            assert present(entry.instance_id) >= 1
            assert 0 <= present(entry.visibility) <= 1
            assert present(entry.mask).any()


def test_a_sequence_becomes_a_bag(run, tmp_path):
    from pose_tracking.datasets.bag.reader import BagReader

    result = run("--model", DEMO, "--frames", 2, "--out", tmp_path / "bag", "--bag", "--fps", 5)
    assert result.exit_code == 0, result.output
    samples = list(BagReader(tmp_path / "bag"))
    assert [s.frame.stamp_ns for s in samples] == [1_000_000_000, 1_200_000_000]
    assert all(len(objects_of(s)) >= 5 for s in samples)


def test_random_frames_become_a_packed_file(run, tmp_path):
    result = run("--model", DEMO, "--frames", 2, "--seed", 1, "--random", "--out", tmp_path / "train.zip")
    assert result.exit_code == 0, result.output
    dataset = PackedDataset(tmp_path / "train.zip")
    assert len(dataset) == 2
    assert dataset[0].frame.color.shape == (480, 640, 3)
    assert np.isfinite(dataset[1].frame.depth).all()


def test_a_stress_sequence_becomes_a_bop_scene(run, tmp_path):
    small = [item for text in ("width=160", "height=120", "focal=142.5") for item in ("--set", text)]
    out = tmp_path / "scene"
    result = run(
        "--model", DEMO, "--preset", "stress", "--fps", 5, "--frames", 2, "--seed", STRESS_SEED, "--out", out, *small
    )
    assert result.exit_code == 0, result.output
    samples = list(BopScene(out))
    assert len(samples) == 2
    for sample in samples:
        assert sample.frame.camera_pose is not None
        assert len(objects_of(sample)) >= 5
        assert all(present(entry.instance_id) >= 1 for entry in objects_of(sample))


def test_the_former_name_of_the_stress_preset_gives_the_same_frames(run, tmp_path, caplog):
    presets._current_name.cache_clear()
    small = [item for text in ("width=160", "height=120", "focal=142.5") for item in ("--set", text)]
    for name in ("stress", "hard"):
        result = run(
            "--model", DEMO, "--preset", name, "--frames", 1, "--seed", STRESS_SEED, "--out", tmp_path / name, *small
        )
        assert result.exit_code == 0, result.output
        assert ("stress" in caplog.text) == (name == "hard")
    for kind in ("rgb", "depth"):
        (one,), (other,) = (list((tmp_path / name / kind).iterdir()) for name in ("stress", "hard"))
        assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "stress/scene_gt.json").read_text() == (tmp_path / "hard/scene_gt.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("--preset", "hardest"), "hardest"),
        (("--preset", "stress", "--random"), "--random"),
        (("--preset", "stress", "--set", "sway=3"), "sway"),
    ],
)
def test_a_preset_that_cannot_be_is_named(run, tmp_path, arguments, culprit):
    result = run("--model", DEMO, "--out", tmp_path / "o", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert culprit in str(result.exception)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("rate", ["0", "-5", "1000"])
def test_no_rate_is_impossible(run, tmp_path, rate):
    result = run("--model", DEMO, "--out", tmp_path / "o", "--preset", "stress", "--fps", rate)
    assert result.exit_code == 2
    assert "--fps" in result.output
    assert not (tmp_path / "o").exists()


def bad_inputs(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    return {
        "unknown model": (["--model", "nosuchmodel", "--out", tmp_path / "o"], "nosuchmodel"),
        "no meshes": (["--model", DEMO, "--objects", tmp_path / "none", "--out", tmp_path / "o"], "none"),
        "no backgrounds": (["--model", DEMO, "--backgrounds", tmp_path / "bg", "--out", tmp_path / "o"], "bg"),
        "bad format": (["--model", DEMO, "--format", "avi", "--out", tmp_path / "o"], "avi"),
        "contradiction": (["--model", DEMO, "--bag", "--format", "bop", "--out", tmp_path / "o"], "--bag"),
        "not empty": (["--model", DEMO, "--out", tmp_path / "full"], "exists"),
        "file in the way": (["--model", DEMO, "--out", tmp_path / "file" / "scene"], "file"),
    }


@pytest.mark.parametrize(
    "case",
    ["unknown model", "no meshes", "no backgrounds", "bad format", "contradiction", "not empty", "file in the way"],
)
def test_bad_input_is_an_error_that_names_the_culprit(run, tmp_path, case):
    from pose_tracking.core.errors import PoseTrackingError

    arguments, culprit = bad_inputs(tmp_path)[case]
    result = run(*arguments, "--frames", 1)
    assert result.exit_code != 0
    assert isinstance(result.exception, PoseTrackingError)
    assert culprit in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_a_time_is_for_frames_that_can_be_fewer(run, tmp_path):
    result = run("--model", DEMO, "--minutes", 1, "--out", tmp_path / "scene")
    assert isinstance(result.exception, ConfigError)
    assert "--minutes is for packed --random frames" in str(result.exception)
    assert not (tmp_path / "scene").exists()
    result = run("--model", DEMO, "--random", "--fewest", 20, "--out", tmp_path / "frames.zip")
    assert isinstance(result.exception, ConfigError)
    assert "--fewest needs --minutes" in str(result.exception)


def test_the_program_prints_one_line_and_fails(tmp_path):
    code = (
        "import sys, typer\nfrom pose_tracking.cli import main as cli\n"
        "cli.COMMANDS = {'simulate': ('simulate', 'simulate'), 'replay': ('replay', 'replay')}; cli.GROUPS = {}\n"
        f"sys.argv = ['pose-tracking', 'simulate', '--model', 'nosuchmodel', '--out', {str(tmp_path / 'o')!r}]\n"
        "sys.exit(cli.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "nosuchmodel" in done.stderr


def test_a_sequence_becomes_a_mot_folder_that_can_be_read_and_compared(run, tmp_path):
    small = [item for text in ("width=160", "height=120", "focal=142.5") for item in ("--set", text)]
    out = tmp_path / "mot"
    result = run("--model", DEMO, "--fps", 12.5, "--frames", 3, "--seed", 3, "--format", "mot", "--out", out, *small)
    assert result.exit_code == 0, result.output
    sequence = read_sequence(out)
    assert (sequence.rate, sequence.length, sequence.width, sequence.height) == (12.5, 3, 160, 120)
    assert sequence.class_names[1] == "mug_blue"
    truths, found = present(sequence.truths), present(sequence.detections)
    assert {row.frame for row in truths} == {1, 2, 3}
    assert 3 <= len(found) <= len(truths) + 3
    # The detections are the ground truth with 2 px of noise, mostly.
    near = [max(float(box_iou(d.box, t.box)[0, 0]) for t in truths if t.frame == d.frame) for d in found]
    assert np.median(near) > 0.5
    assert sequence.frame(3).color.shape == (120, 160, 3)
    report = CliRunner().invoke(
        build("evaluate"),
        ["evaluate", str(out), "--model", str(DEMO), "--detections", "det", "--out", str(tmp_path / "report")],
    )
    assert report.exit_code == 0, report.output
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert 0 < scores["all"]["idf1"] <= 1
    assert read_rows(tmp_path / "report" / "mot.txt", 3)


def test_unrelated_frames_are_no_mot_sequence(run, tmp_path):
    result = run("--model", DEMO, "--frames", 2, "--random", "--format", "mot", "--out", tmp_path / "mot")
    assert isinstance(result.exception, ConfigError)
    assert "contradicts --random" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
