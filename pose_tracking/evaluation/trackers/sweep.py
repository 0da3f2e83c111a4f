"""How well identities are kept over lambda, the kind of motion, and beside other trackers on the same detections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import validate
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.results import Detection
from pose_tracking.evaluation.metrics.tracking import IdentifiedBox, TrackingAccumulator
from pose_tracking.objects import ObjectSet
from pose_tracking.tracking import TrackingConfig
from pose_tracking.tracking.config import MOTIONS

from .baselines import BASELINES, make_baseline
from .record import TrackingFrame
from .recordings import Recording
from .run import TrackStep, own_tracker, run_tracker

Scores = dict[str, Any]
SCHEMA = 2  # of sweep.json


def parse_sweep(text: str) -> list[float]:
    """The lambdas of ``lambda=0,0.25,0.5``.

    Raises:
        ConfigError: another form, or a value outside 0 to 1.
    """
    name, equals, values = text.partition("=")
    if name.strip() != "lambda" or not equals:
        raise ConfigError(f"--sweep {text!r}: expected lambda=VALUES, e.g. lambda=0,0.25,0.5")
    found: list[float] = []
    for part in _parts(values, "--sweep", text):
        try:
            value = float(part)
        except ValueError:
            raise ConfigError(f"--sweep {text!r}: {part!r} is not a number") from None
        if not 0 <= value <= 1:
            raise ConfigError(f"--sweep {text!r}: lambda {part} is outside 0 to 1")
        found.append(value)
    return list(dict.fromkeys(found))


def parse_motions(text: str) -> list[str]:
    """The kinds of motion of ``box,pose,both``.

    Raises:
        ConfigError: an unknown one, or none.
    """
    found = _parts(text, "--motion", text)
    for part in found:
        if part not in MOTIONS:
            raise ConfigError(f"--motion {text!r}: {part!r} is not one of {', '.join(MOTIONS)}")
    return list(dict.fromkeys(found))


def parse_baselines(text: str) -> list[str]:
    """The other trackers of ``norfair,bytetrack``, or ``all``.

    Raises:
        ConfigError: an unknown one, or none.
    """
    if text.strip() == "all":
        return list(BASELINES)
    found = _parts(text, "--baselines", text)
    for part in found:
        if part not in BASELINES:
            raise ConfigError(f"--baselines {text!r}: {part!r} is not one of {', '.join(BASELINES)}, all")
    return list(dict.fromkeys(found))


def run_sweep(
    frames: Sequence[TrackingFrame],
    objects: ObjectSet,
    config: TrackingConfig,
    motions: Sequence[str],
    lambdas: Sequence[float],
    baselines: Sequence[str] = (),
    *,
    camera_motion: bool = True,
    mot_challenge: bool = False,
    progress: bool = False,
) -> dict[str, list[Scores]]:
    """Run the tracker once for each motion and lambda, and each baseline once.

    Args:
        frames: recorded detections.
        objects: the object set.
        config: the tracker's other options.
        motions, lambdas: what to try, all pairs of them.
        baselines: names of `baselines.BASELINES`.
        camera_motion: whether the tracker is told the pose of the camera; no baseline takes it.
        mot_challenge: see `TrackingAccumulator`.
        progress: show progress bars on stderr.

    Returns:
        ``rows`` and ``baselines`` of ``sweep.json``.

    Raises:
        ConfigError: a value out of range, or a baseline that is not installed.
    """
    check_baselines(baselines)
    fps = frame_rate(frames)

    def scores(make: Callable[[], TrackStep], label: str, told: bool) -> Scores:
        label = label if progress else ""
        run = run_tracker(frames, make, camera_motion=told, mot_challenge=mot_challenge, progress=label)
        return object_scores(run, objects)

    rows = []
    for motion in motions:
        for value in lambdas:
            tried = replace(config, motion=motion, motion_weight=float(value))
            validate(tried, "tracking")
            found = scores(partial(own_tracker, tried, objects), f"{motion} {value:g}", camera_motion)
            rows.append({"motion": motion, "lambda": float(value), **found})
    others = [{"name": name, **scores(partial(baseline_tracker, name, fps), name, False)} for name in baselines]
    return {"rows": rows, "baselines": others}


def compare_trackers(
    recording: Recording,
    objects: ObjectSet,
    config: TrackingConfig,
    motions: Sequence[str] = (),
    lambdas: Sequence[float] = (),
    baselines: Sequence[str] = (),
    *,
    camera_motion: bool = True,
    mot_challenge: bool = False,
    progress: bool = False,
) -> Scores:
    """`run_sweep` on a recording; the content of ``sweep.json``.

    Args:
        recording: detections, and where they come from.
        objects, config, baselines, camera_motion, mot_challenge, progress: see `run_sweep`.
        motions, lambdas: what to try; those of `config` where there are none.

    Raises:
        ConfigError: see `run_sweep`.
    """
    frames, about = recording
    found = run_sweep(
        frames,
        objects,
        config,
        motions or [config.motion],
        lambdas or [config.motion_weight],
        baselines,
        camera_motion=camera_motion,
        mot_challenge=mot_challenge,
        progress=progress,
    )
    return {
        "schema": SCHEMA,
        **found,
        "source": about["source"],
        "model": about["model"],
        "frames": len(frames),
        "detections": about["detections"],
        "settings": {
            "camera_motion": camera_motion,
            "rate": round(frame_rate(frames), 3),
            "min_visib": about["min_visib"],
            "noisy_gt": about["noisy_gt"],
            "tracking": {k: v for k, v in asdict(config).items() if k not in ("motion", "motion_weight")},
        },
    }


def check_baselines(names: Sequence[str]) -> None:
    """Find a baseline that is unknown or not installed before a long run.

    Raises:
        ConfigError: see `baselines.make_baseline`.
    """
    for name in names:
        make_baseline(name, 30.0)


def baseline_tracker(name: str, fps: float) -> TrackStep:
    """A tracker of another package as a step function.

    Raises:
        ConfigError: see `baselines.make_baseline`.
    """
    baseline = make_baseline(name, fps)

    def step(
        detections: list[Detection] | None, stamp: float, camera_pose: Any, intrinsics: CameraIntrinsics
    ) -> list[IdentifiedBox]:
        return [IdentifiedBox(t.track_id, t.obj_id, t.box) for t in baseline.update(detections or [], stamp)]

    return step


def frame_rate(frames: Sequence[TrackingFrame]) -> float:
    """Median frame rate in Hz within the scenes; 10 where no scene has two frames."""
    steps = [b.stamp - a.stamp for a, b in zip(frames, frames[1:], strict=False) if a.scene_id == b.scene_id]
    step = float(np.median(steps)) if steps else 0.0
    return 1.0 / step if step > 0 else 10.0


def object_scores(accumulator: TrackingAccumulator, objects: ObjectSet) -> Scores:
    """The scores over all classes, and under ``objects`` those of each by its name."""
    single = {objects[obj_id].name: accumulator.scores(obj_id) for obj_id in accumulator.obj_ids}
    return {**accumulator.scores(), "objects": single}


def _parts(values: str, option: str, text: str) -> list[str]:
    parts = [part.strip() for part in values.split(",")]
    if not all(parts):
        raise ConfigError(f"{option} {text!r}: a value is missing")
    return parts
