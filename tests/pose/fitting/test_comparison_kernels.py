"""The features of the comparison beside their formulas, written with NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, STEPS, moved, random_pose, render, write_objects

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.color_comparison import USUAL_EXPOSURE
from pose_tracking.pose.fitting.scoring import SUNKEN, Verifier
from pose_tracking.pose.fitting.surface_comparison import SurfaceComparison


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


def depth_reference(compared: SurfaceComparison, core: np.ndarray, diameter: float) -> dict[str, float]:
    agrees, residuals = compared.agrees, np.abs(compared.behind[compared.agrees])
    drawn = len(compared.rows)
    return {
        "inlier_fraction": agrees.sum() / (agrees.sum() + compared.void.sum()),
        "violated_fraction": compared.void.sum() / drawn,
        "sunken_fraction": (compared.hidden & (compared.behind > -SUNKEN * diameter)).sum() / drawn,
        "coverage": min(1.0, core[compared.rows[agrees], compared.cols[agrees]].sum() * compared.step**2 / core.sum()),
        "blind_fraction": compared.blind.sum() / (agrees.sum() + compared.void.sum() + compared.blind.sum()),
        "visible_fraction": agrees.sum() / drawn,
        "residual": np.mean(residuals / compared.tolerance[agrees]),
        "occluded_fraction": compared.hidden.sum() / drawn,
        "residual_mm": np.median(residuals) * 1e3,
    }


def point(frame: RGBDFrame, rows: np.ndarray, cols: np.ndarray) -> Float:
    depth = frame.depth[rows, cols].astype(float)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return frame.intrinsics.backproject_pixels(rows, cols, depth)


def normal_reference(frame: RGBDFrame, compared: SurfaceComparison) -> float:
    rows, cols = compared.rows[compared.agrees], compared.cols[compared.agrees]
    inside = (rows >= 4) & (rows < CAMERA.height - 4) & (cols >= 4) & (cols < CAMERA.width - 4)
    rows, cols, normals = rows[inside], cols[inside], compared.hits.normals[compared.agrees][inside]
    across = point(frame, rows, cols + 4) - point(frame, rows, cols - 4)
    down = point(frame, rows + 4, cols) - point(frame, rows - 4, cols)
    cross = np.cross(across, down)
    known = np.maximum(np.abs(across[:, 2]), np.abs(down[:, 2])) < 0.03
    cosine = np.abs((cross[known] * normals[known]).sum(1)) / np.linalg.norm(cross[known], axis=1)
    return float(np.mean(1 - cosine))


def color_reference(measured: np.ndarray, rendered: np.ndarray, normals: np.ndarray) -> dict[str, float]:
    m, r = measured + 4.0, rendered + 4.0
    gain = m.sum() / r.sum()
    balance = np.clip(m.sum(0) / r.sum(0) / gain, 0.85, 1.15)
    basis = np.column_stack([np.ones(len(m)), normals])
    design = basis * r.sum(1)[:, None]
    prior = 0.02 * (r.sum(1) ** 2).sum() * np.diag([0.0, 1, 1, 1]) + 1e-9 * np.eye(4)
    light = np.linalg.solve(design.T @ design + prior, design.T @ m.sum(1))
    shade = np.clip(basis @ light, 0.3 * gain, 2 * gain)
    chroma = np.abs(m / m.sum(1, keepdims=True) - r / r.sum(1, keepdims=True)).sum(1)
    return {
        "chroma_error": (chroma * m.sum(1)).sum() / m.sum(),
        "texture_error": np.abs(m - r * shade[:, None] * balance).sum() / m.sum(),
        "brightness_error": max(0.0, abs(np.log(gain)) - USUAL_EXPOSURE),
        "gain": gain,
    }


@pytest.mark.parametrize("seed", range(12))
def test_features_are_their_formulas(objects: ObjectSet, seed: int) -> None:
    rng = np.random.default_rng(seed)
    obj_id = (STEPS, LAMP)[seed % 2]
    truth = random_pose(rng)
    frame, (mask,) = render([(obj_id, truth)], seed=seed)
    depth = frame.depth.copy()
    depth[rng.random(depth.shape) < 0.05] = rng.choice([0.0, np.nan, np.inf, -1.0])
    depth[:, : int(np.nonzero(mask)[1].min()) + 10] = 0.6  # something in front
    frame = replace(frame, depth=depth, color=(frame.color * 0.3).astype(np.uint8) if seed % 3 == 0 else frame.color)
    pose = moved(truth, 6, 0.005, rng)
    verifier = Verifier(VerificationConfig(), objects)
    view = verifier.view(frame, mask)
    compared = verifier.compare(frame, obj_id, pose, verifier.config.max_rays)
    found = verifier.verify(view, obj_id, pose).features
    expected = depth_reference(compared, view.core, objects[obj_id].diameter)
    expected["normal_error"] = normal_reference(frame, compared)
    agrees = compared.agrees
    expected |= color_reference(
        frame.color[compared.rows, compared.cols][agrees],
        verifier.raycaster(obj_id).colors(compared.hits)[agrees],
        compared.hits.normals[agrees].astype(float),
    )
    assert agrees.sum() > 30
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_where_nothing_agrees_nothing_is_known(objects: ObjectSet) -> None:
    pose = random_pose(np.random.default_rng(0))
    frame, (mask,) = render([(STEPS, pose)])
    frame = replace(frame, depth=np.full_like(frame.depth, 0.2))
    verifier = Verifier(VerificationConfig(), objects)
    found = verifier.verify(verifier.view(frame, mask), STEPS, pose)
    assert found.score == 0
    assert found.features["occluded_fraction"] == 1
    assert (found.features["residual"], found.features["normal_error"]) == (1.0, 0.5)
    assert (found.features["chroma_error"], found.features["texture_error"]) == (1.0, 1.0)
    assert np.isnan(found.features["residual_mm"])


def test_any_layout_of_the_images_gives_the_same(objects: ObjectSet) -> None:
    pose = random_pose(np.random.default_rng(4))
    frame, (mask,) = render([(STEPS, pose)])
    verifier = Verifier(VerificationConfig(), objects)
    expected = verifier.verify(verifier.view(frame, mask), STEPS, pose).features
    turned = replace(frame, depth=np.asfortranarray(frame.depth), color=np.asfortranarray(frame.color))
    doubled = replace(frame, depth=np.repeat(frame.depth, 2, 1)[:, ::2], color=np.repeat(frame.color, 2, 1)[:, ::2])
    wide = replace(frame, depth=frame.depth.astype(np.float64))
    for each in (turned, doubled, wide):
        assert verifier.verify(verifier.view(each, mask), STEPS, np.asfortranarray(pose)).features == expected
