"""Identities and states of 6D tracks are those that the tracker had before its filters were compiled for speed.

`states_reference.json` was written by `python test_states_reference.py FILE` on the code of then.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.tracking import Tracker, TrackingConfig

REFERENCE = Path(__file__).with_name("states_reference.json")
CASES = {
    "poses": (TrackingConfig(), 1),
    "poses, of things in four equal turns": (TrackingConfig(), 4),
    "poses and boxes": (replace(TrackingConfig(), motion="both", copies_differ=True, gallery_budget=5), 1),
    "boxes": (replace(TrackingConfig(), motion="box"), 1),
}
FRAMES, THINGS = 70, 10


def objects(turns: int) -> ObjectSet:
    """A cube of 10 cm that is the same in so many turns about its z axis."""
    size = np.full(3, 0.1)
    angles = 2 * np.pi * np.arange(turns) / turns
    same = make_transform(Rotation.from_rotvec(angles[:, None] * [[0, 0, 1.0]]).as_matrix(), np.zeros((turns, 3)))
    return ObjectSet({1: ObjectModel(1, "thing", 0.17, -size / 2, size, same)})


def scene(seed: int = 0) -> list[list[Detection]]:
    """Copies that pass each other, are hidden for a while, and seen with gaps, outliers and false detections."""
    rng = np.random.default_rng(seed)
    place, velocity = rng.uniform([-0.5, -0.4, 0.9], [0.5, 0.4, 1.3], (THINGS, 3)), rng.normal(0, 0.15, (THINGS, 3))
    turn, spin = rng.normal(0, 1, (THINGS, 3)), rng.normal(0, 0.5, (THINGS, 3))
    identity = rng.normal(size=(THINGS, 16)) + 1.5
    frames = []
    for k in range(FRAMES):
        place, turn = place + velocity / 30, turn + spin / 30
        velocity = np.where(np.abs(place - [0, 0, 1.1]) > [0.5, 0.4, 0.2], -velocity, velocity)
        seen = [i for i in range(THINGS) if rng.random() > 0.07 and not (i < 3 and 20 + 5 * i < k < 40)]
        found = [(place[i], turn[i], identity[i]) for i in seen]
        if rng.random() < 0.2:
            found.append((rng.uniform([-0.5, -0.4, 0.9], [0.5, 0.4, 1.3]), rng.normal(size=3), rng.normal(size=16)))
        frames.append([detection(rng, *each) for each in found])
    return frames


def detection(rng: np.random.Generator, place: np.ndarray, turn: np.ndarray, identity: np.ndarray) -> Detection:
    """A noisy look at one of them, some without pose or appearance, some with a pose that is wrong."""
    error = rng.normal(0, [0.004] * 3 + [0.05] * 3) * (10 if rng.random() < 0.04 else 1)
    rotation = (Rotation.from_rotvec(error[3:]) * Rotation.from_rotvec(turn)).as_matrix()
    estimate = PoseEstimate(make_transform(rotation, place + error[:3]), float(rng.uniform(0.5, 1)), np.eye(6))
    estimate.covariance = np.diag([0.004**2] * 3 + [0.05**2] * 3)
    if rng.random() < 0.5:
        estimate.systematic = 0.3 * estimate.covariance
    centre, half = 600 * place[:2] / place[2] + [320, 240], 600 * np.array([0.05, 0.07]) / place[2]
    box = np.concatenate([centre - half, centre + half]) + rng.normal(0, 2, 4)
    feature = (identity + rng.normal(0, 0.7, 16)).astype(np.float32)
    known = rng.random(2) > 0.1
    return Detection(1, 0.9, box, feature if known[0] else None, estimate if known[1] else None)


def told(case: str) -> dict[str, Any]:
    """The IDs of all frames, and the states after the last one, which come of all before."""
    config, turns = CASES[case]
    tracker = Tracker(config, objects(turns))
    ids = []
    for k, detections in enumerate(scene()):
        tracked = tracker.update(detections, k / 30 + 0.002 * (k % 3))
        ids.append([t.track_id for t in tracked])
    states = [state for t in tracked for state in (t.box, t.pose, t.velocity, t.covariance)]
    return {"ids": ids, "states": [[] if each is None else np.ravel(each).tolist() for each in states]}


@pytest.mark.parametrize("case", CASES)
def test_ids_and_states_are_those_of_before(case: str) -> None:
    expected, found = json.loads(REFERENCE.read_text())[case], told(case)
    assert found["ids"] == expected["ids"]
    assert [len(state) for state in found["states"]] == [len(state) for state in expected["states"]]
    for ours, theirs in zip(found["states"], expected["states"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-12, atol=2e-12)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({case: told(case) for case in CASES}))
