"""`evaluate` and `compare-trackers` on folders in MOTChallenge's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pose_tracking.core.errors import ConfigError

from .evaluation_options import GIVEN
from .sources import SourceOptions

if TYPE_CHECKING:
    from pose_tracking.datasets.mot import MotSequence
    from pose_tracking.evaluation.mot import MotClasses
    from pose_tracking.evaluation.trackers.recordings import Recording
    from pose_tracking.objects import ObjectSet
    from pose_tracking.tracking import TrackingConfig

    from .evaluation_plan import Plan


def check_options(
    given: SourceOptions,
    camera_motion: bool,
    max_frames: int | None,
    covariance_scale: float | None,
    save_detections: Path | None,
    protocol: str | None = None,
    motion: str | None = None,
) -> None:
    """Refuse options that say nothing of such a folder.

    Raises:
        ConfigError: one is given.
    """
    options = {
        "--no-camera-motion": not camera_motion,
        "--max-frames": max_frames,
        "--covariance-scale": covariance_scale,
        "--save-detections": save_detections,
        "--protocol": protocol,
    }
    if motion is not None and motion.strip() != "box":
        raise ConfigError(f"--motion {motion}: nothing in a folder in MOTChallenge's layout has a pose: box")
    wrong = [*given.of_simulated, *given.of_recorded]
    wrong += [name for name, value in options.items() if value not in (None, False)]
    if wrong:
        raise ConfigError(f"{wrong[0]} is not for folders in MOTChallenge's layout: leave it out")


def evaluate_folders(
    folders: Sequence[str],
    plan: Plan,
    detections: str | None,
    model: str,
    objects: Path | None,
    out: Path,
    min_visib: float,
    device: str,
    threads: int,
    seed: int,
) -> None:
    """Track each sequence, write its tracks and all scores, and print these."""
    from pose_tracking.evaluation.mot_report import SCORES, evaluate_mot, format_scores
    from pose_tracking.evaluation.report.files import check_writable

    check_writable(out)
    recording, classes, config, sequences = _record(
        folders, plan, detections, model, objects, min_visib, device, threads, seed
    )
    data = evaluate_mot(sequences, recording, classes, config, out)
    typer.echo(f"{format_scores(data)}\nscores: {out / SCORES}")


def record_folders(
    folders: Sequence[str],
    plan: Plan,
    detections: str | None,
    model: str,
    objects: Path | None,
    min_visib: float,
    device: str,
    threads: int,
    seed: int,
) -> tuple[Recording, ObjectSet, TrackingConfig]:
    """What trackers are compared on, the objects in it, and the options of ours."""
    recording, classes, config, _ = _record(folders, plan, detections, model, objects, min_visib, device, threads, seed)
    return recording, classes.objects, config


def _record(
    folders: Sequence[str],
    plan: Plan,
    detections: str | None,
    model: str,
    objects: Path | None,
    min_visib: float,
    device: str,
    threads: int,
    seed: int,
) -> tuple[Recording, MotClasses, TrackingConfig, list[MotSequence]]:
    from pose_tracking.evaluation.mot_report import record_mot

    if detections not in (None, GIVEN):
        raise ConfigError(
            f"--detections {detections}: a folder in MOTChallenge's layout has no poses to draw it from; it may have "
            f"detections of its own: --detections {GIVEN}"
        )
    tracker, sequences = plan.start_mot(folders, model, objects, device, threads, seed)
    recording, classes = record_mot(sequences, tracker, given=detections == GIVEN, min_visib=min_visib, progress=True)
    return recording, classes, replace(tracker.tracker.config, motion="box"), sequences
