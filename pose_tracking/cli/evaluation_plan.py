"""What the options of `pose-tracking evaluate` about detections and tracking ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pose_tracking.core.errors import ConfigError

from .settings import with_settings

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.results import Detection
    from pose_tracking.datasets.sample import Sample
    from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthConfig
    from pose_tracking.pipeline import PoseTracker

T = TypeVar("T")
NOISY_GT = "noisy-gt"
MIN_VISIB = 0.3
# Options of the bundle, and of the noise, that `--set` changes.
GROUPS = ("tracking", "pipeline", "noisy_gt")


@dataclass(frozen=True)
class Plan:
    """What the options of the command line ask for.

    Attributes:
        motions, lambdas, baselines: of the sweep; no lambdas where there is none.
        noise: of `noisy-gt` detections; None for the pipeline's own.
        settings: of `--set`.
    """

    motions: list[str]
    lambdas: list[float]
    baselines: list[str]
    noise: NoisyTruthConfig | None
    settings: list[str]
    camera_motion: bool
    min_visib: float
    max_frames: int | None


def make_plan(
    sources: Sequence[str],
    motion: str | None,
    motion_weight: float | None,
    sweep: str | None,
    baselines: str | None,
    detections: str | None,
    save_detections: Path | None,
    settings: Sequence[str] | None,
    seed: int,
    camera_motion: bool,
    min_visib: float,
    max_frames: int | None,
) -> Plan:
    """Check the options against each other.

    Raises:
        ConfigError: a value is not understood, or says nothing without another option.
    """
    from pose_tracking.evaluation.trackers.baselines import make_baseline
    from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthConfig
    from pose_tracking.evaluation.trackers.sweep import parse_baselines, parse_motions, parse_sweep

    if detections not in (None, NOISY_GT):
        raise ConfigError(f"--detections {detections}: only {NOISY_GT} is known")
    recorded = bool(recordings_of(sources))
    if sweep is None:
        if baselines is not None:
            raise ConfigError("--baselines needs --sweep")
        if save_detections is not None and detections is None:
            raise ConfigError(f"--save-detections needs --sweep or --detections {NOISY_GT}")
        if recorded:
            raise ConfigError(f"{sources[0]}: recorded detections can only be tracked again: give --sweep")
    elif motion_weight is not None:
        raise ConfigError("--lambda and --sweep both say what lambda is: leave one of them out")
    if recorded and (detections is not None or save_detections is not None):
        raise ConfigError(
            f"{sources[0]}: its detections are recorded already: leave out --detections and what saves them"
        )
    motions = [] if motion is None else parse_motions(motion)
    if sweep is None and len(motions) > 1:
        raise ConfigError(f"--motion {motion}: several need --sweep")
    changes = list(settings or ())
    for text in changes:
        if text.partition(".")[0] not in GROUPS:
            raise ConfigError(f"--set {text!r}: expected GROUP.NAME=VALUE with one of the groups {', '.join(GROUPS)}")
    if detections is None and any(text.startswith("noisy_gt.") for text in changes):
        raise ConfigError(f"--set noisy_gt... needs --detections {NOISY_GT}")
    noise = None if detections is None else _changed(NoisyTruthConfig(seed=seed), changes, "noisy_gt")
    others = [] if baselines is None else parse_baselines(baselines)
    for name in others:
        make_baseline(name, 30.0)  # a missing package is found before the long run
    return Plan(
        motions,
        [] if sweep is None else parse_sweep(sweep),
        others,
        noise,
        changes,
        camera_motion,
        min_visib,
        max_frames,
    )


def _changed(config: T, settings: Sequence[str], group: str) -> T:
    """`config` with the settings of its group."""
    own = [text.partition(".")[2] for text in settings if text.startswith(f"{group}.")]
    return with_settings(config, own, f"--set {group}")


def configured(bundle: ModelBundle, plan: Plan) -> ModelBundle:
    """The bundle with what the command line changes in its options."""
    config = bundle.config
    tracking = _changed(config.tracking, plan.settings, "tracking")
    if len(plan.motions) == 1:
        tracking = replace(tracking, motion=plan.motions[0])
    pipeline = _changed(config.pipeline, plan.settings, "pipeline")
    return replace(bundle, config=replace(config, tracking=tracking, pipeline=pipeline))


def noisy_truth(tracker: PoseTracker, noise: NoisyTruthConfig) -> Callable[[Sample], list[Detection]]:
    """What gives the detections of a sample in place of the pipeline's own."""
    from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthDetector

    return NoisyTruthDetector(tracker.segmenter, tracker.objects, noise, tracker.embedding).detect


def recordings_of(sources: Sequence[str]) -> list[Path]:
    """The files of recorded detections that are the sources; none where these are something else.

    Raises:
        ConfigError: some are and some are not.
    """
    files = [text for text in sources if text.endswith(".npz")]
    if files and len(files) < len(sources):
        raise ConfigError("recorded detections (.npz) cannot be pooled with anything else: give such files only")
    return [Path(text) for text in files]
