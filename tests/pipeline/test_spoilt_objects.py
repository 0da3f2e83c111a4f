"""One object whose depth or mesh is not what the bundle needs: it is dropped for a reason, the others are tracked."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pose_tracking import ModelBundle, PoseTracker
from pose_tracking.bundles.finding import find_bundle
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects.mesh import load_mesh, save_mesh
from pose_tracking.simulation.sequences.presets import preset_config
from pose_tracking.simulation.sequences.source import SimulatedSequences

FRAMES = 3


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Three blue mugs, three trucks and two houses."""
    objects = ModelBundle.load("demo").objects
    return list(SimulatedSequences(objects, [71001], preset_config("plain", None, FRAMES)))


def run(tracker: PoseTracker, frames: list[RGBDFrame]) -> tuple[Counter[str], Counter[str]]:
    """How many of each class are tracked after some frames, and how many detections were dropped by reason."""
    dropped: Counter[str] = Counter()
    for frame in frames:
        things = tracker.update(frame)
        dropped += tracker.report.rejected
    return Counter(thing.class_name for thing in things if thing.is_confirmed and thing.is_observed), dropped


def test_depth_that_is_all_holes_inside_a_mask_costs_that_object_alone(samples: list[Sample]) -> None:
    frames = []
    spoilt = next(t.instance_id for t in samples[0].objects or () if t.obj_id == 1)
    for sample in samples:
        depth = sample.frame.depth.copy()
        mug = next(t for t in sample.objects or () if t.instance_id == spoilt)
        assert mug.mask is not None
        depth[mug.mask] = 0
        frames.append(replace(sample.frame, depth=depth))
    tracked, dropped = run(PoseTracker(ModelBundle.load("demo")), frames)
    assert tracked == {"mug_blue": 2, "truck": 3, "house": 2}
    assert dropped["low_depth_coverage"] >= FRAMES


@pytest.mark.parametrize("scale", [0.3, 2.5])
def test_a_mesh_far_from_its_real_size_costs_its_class_alone(
    samples: list[Sample], tmp_path: Path, scale: float
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(find_bundle("demo"), folder)
    mesh_file = folder / "meshes" / "obj_000001.ply"
    save_mesh(load_mesh(mesh_file).scaled(scale), mesh_file)
    info = json.loads((folder / "models_info.json").read_text())
    for name, value in info["1"].items():
        if isinstance(value, float):
            info["1"][name] = value * scale
    (folder / "models_info.json").write_text(json.dumps(info))
    tracked, dropped = run(PoseTracker(ModelBundle.load(folder)), [s.frame for s in samples])
    assert tracked == {"truck": 3, "house": 2}
    reasons = ("size_too_large", "size_too_small", "pose_confidence", "refused_before")
    assert sum(dropped[reason] for reason in reasons) >= 3 * FRAMES
