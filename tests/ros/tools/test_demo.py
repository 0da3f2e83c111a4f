"""The demo on the ball scene: bag, DDS, node in its own process, report."""

from __future__ import annotations

import json
import os
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import numpy as np
from node_harness import HERE, ROOT, own_domain

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets.bag.writer import BagWriter
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.ros.tools.demo import DemoOptions, run_demo

FRAMES = 12


@pytest.fixture
def ball_bag(tmp_path):
    """The ball scene with its ground truth."""
    objects = ball_scene.ball_objects()
    with BagWriter(tmp_path / "balls", objects=objects) as writer:
        for index in range(FRAMES):
            frame = ball_scene.render(index)
            truth = []
            for obj_id, centre in ball_scene.positions(index).items():
                mask = (frame.color == ball_scene.COLORS[obj_id]).all(-1)
                rows, columns = np.nonzero(mask)
                box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
                pose = make_transform(np.eye(3), centre)
                truth.append(GroundTruthObject(obj_id, pose, visibility=1.0, box=box, instance_id=obj_id))
            writer.add(Sample(frame, truth))
    return tmp_path / "balls"


@pytest.fixture
def domain(monkeypatch):
    """A ROS domain of its own, and our modules for the node's process."""
    number, lock = own_domain()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(ROOT), *sys.path[1:]]))
    with lock:
        yield number


def test_demo_scores_what_came_back_over_dds(ball_bag, domain, tmp_path):
    out = tmp_path / "out"
    options = DemoOptions(out, model="balls", bag=ball_bag, module="ball_node")
    report, answers = run_demo(options, ball_scene.ball_objects())
    assert answers.frames == FRAMES
    assert len(answers.results) == FRAMES  # each frame waits for the answer to the one before
    data = json.loads((out / "report.json").read_text())
    assert data == report.data
    assert (data["frames"], data["frames_dropped"]) == (FRAMES, 0)
    for obj_id in ("1", "2"):
        entry = data["pose"]["objects"][obj_id]
        assert (entry["instances"], entry["detected"]) == (FRAMES, FRAMES)
    assert data["tracking"]["id_switches"] == 0
    assert data["tracking"]["fp"] == 0
    assert data["tracking"]["idf1"] > 0.8  # the first two frames of each track are tentative
    assert (out / "report.html").stat().st_size > 1000
    assert (out / "node.log").read_text().count("active; listening") == 1


def test_demo_says_why_the_node_did_not_start(ball_bag, domain, tmp_path):
    options = DemoOptions(tmp_path / "out", model="no_such_model", bag=ball_bag, module="ball_node")
    with pytest.raises(PoseTrackingError, match="unknown model 'no_such_model'"):
        run_demo(options, ball_scene.ball_objects())


def test_demo_at_full_speed_counts_the_frames_it_missed(ball_bag, domain, tmp_path, monkeypatch):
    monkeypatch.setenv("BALL_DELAY", "0.3")
    options = DemoOptions(tmp_path / "out", model="balls", bag=ball_bag, rate=2.0, module="ball_node")
    report, answers = run_demo(options, ball_scene.ball_objects())
    assert answers.frames == FRAMES
    assert 2 <= len(answers.results) < FRAMES
    assert answers.drops["overtaken"] == FRAMES - len(answers.results)
    assert report.data["frames"] == len(answers.results)
    assert report.data["frames_dropped"] == FRAMES - len(answers.results)
