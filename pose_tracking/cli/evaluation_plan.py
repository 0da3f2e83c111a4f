"""What the options of `evaluate` and `compare-trackers` about detections and tracking ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_tracking.bundles.settings import GROUPS as BUNDLE_GROUPS
from pose_tracking.bundles.settings import with_bundle_settings, with_group
from pose_tracking.core.errors import ConfigError

from .evaluation_options import GIVEN, MIN_VISIB, NOISY_GT
from .sources import SourceOptions

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.mot import MotSequence
    from pose_tracking.datasets.sample import Source
    from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthConfig
    from pose_tracking.evaluation.trackers.record import Detect, TrackingFrame
    from pose_tracking.pipeline import PoseTracker

# Options of the bundle, and of the noise, that `--set` changes.
GROUPS = (*BUNDLE_GROUPS, "noisy_gt")


@dataclass(frozen=True)
class Plan:
    """What the options of the command line ask for.

    Attributes:
        noise: of `noisy-gt` detections; None for the pipeline's own.
        settings: of `--set`.
        motion, motion_weight: of the tracker; None for the bundle's.
    """

    noise: NoisyTruthConfig | None
    settings: list[str]
    motion: str | None = None
    motion_weight: float | None = None

    @property
    def noise_settings(self) -> dict[str, Any] | None:
        """The options of the noise by name; None where there is none."""
        return None if self.noise is None else asdict(self.noise)

    def configured(self, bundle: ModelBundle) -> ModelBundle:
        """The bundle with what the command line changes in its options."""
        changed = with_bundle_settings(bundle, [text for text in self.settings if not text.startswith("noisy_gt.")])
        tracking = changed.config.tracking
        if self.motion is not None:
            tracking = replace(tracking, motion=self.motion)
        if self.motion_weight is not None:
            tracking = replace(tracking, motion_weight=self.motion_weight)
        return changed.with_config(replace(changed.config, tracking=tracking))

    def detector(
        self, tracker: PoseTracker, kept: list[TrackingFrame] | None = None, min_visib: float = MIN_VISIB
    ) -> Detect | None:
        """What gives the detections of a sample in place of the pipeline's own; None where nothing does.

        Args:
            tracker: the pipeline, whose detector takes the appearance features.
            kept: a list that each frame is added to, see `record.recorded_frame`.
            min_visib: ground truth less visible than this is ignored in what is kept.
        """
        from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthDetector
        from pose_tracking.evaluation.trackers.record import keeping

        if self.noise is None:
            return None
        detect = NoisyTruthDetector(tracker.segmenter, tracker.objects, self.noise, tracker.embedding).detect
        return detect if kept is None else keeping(detect, kept, tracker.objects, min_visib)

    def start(
        self,
        sources: Sequence[str],
        given: SourceOptions,
        model: str,
        objects: Path | None,
        device: str,
        threads: int,
        seed: int,
    ) -> tuple[PoseTracker, Source | None]:
        """The pipeline and what it is to run over, which is None where the sources are recorded detections.

        Raises:
            PoseTrackingError: the bundle or a source cannot be used, found before the networks are loaded.
        """
        bundle = self._bundle(model, objects)
        source = None if recordings_of(sources) else given.open(sources, bundle.shapes)
        return self._pipeline(bundle, device, threads, seed), source

    def start_mot(
        self, folders: Sequence[str], model: str, objects: Path | None, device: str, threads: int, seed: int
    ) -> tuple[PoseTracker, list[MotSequence]]:
        """The pipeline and the MOTChallenge sequences it is to run over.

        Raises:
            PoseTrackingError: see `start`.
        """
        from pose_tracking.datasets.mot import open_mot

        sequences = [sequence for folder in folders for sequence in open_mot(folder)]
        names = [sequence.name for sequence in sequences]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigError(f"{twice}: two sequences of this name: evaluate them apart, or rename one in seqinfo.ini")
        return self._pipeline(self._bundle(model, objects), device, threads, seed), sequences

    def _bundle(self, model: str, objects: Path | None) -> ModelBundle:
        from pose_tracking.bundles.bundle import ModelBundle

        return self.configured(ModelBundle.load(model, objects))

    def _pipeline(self, bundle: ModelBundle, device: str, threads: int, seed: int) -> PoseTracker:
        from pose_tracking.core.garbage import keep_loaded
        from pose_tracking.core.seeds import seed_everything
        from pose_tracking.core.threads import use_threads
        from pose_tracking.pipeline import PoseTracker
        from pose_tracking.pipeline.look_ahead import frames_ahead, stages_at_once

        every = bundle.config.pipeline.segment_every
        use_threads(threads, at_once=stages_at_once(every, frames_ahead(every)))
        seed_everything(seed)
        tracker = PoseTracker(bundle, device)
        keep_loaded()
        return tracker

    def about(self, source: Source, tracker: PoseTracker, min_visib: float) -> dict[str, Any]:
        """Where recorded detections come from (keys `recordings.ABOUT`)."""
        return {
            "source": source.name,
            "model": tracker.bundle.name,
            "detections": "the model's own" if self.noise is None else NOISY_GT,
            "min_visib": min_visib,
            "noisy_gt": self.noise_settings,
        }


def make_plan(
    detections: str | None,
    settings: Sequence[str] | None,
    seed: int,
    motion: str | None = None,
    motion_weight: float | None = None,
    covariance_scale: float | None = None,
) -> Plan:
    """Check the options against each other.

    Raises:
        ConfigError: a value is not understood, or says nothing without another option.
    """
    from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthConfig

    if detections not in (None, NOISY_GT):
        known = (
            f"only {NOISY_GT} is known" if detections != GIVEN else "only folders in MOTChallenge's layout have some"
        )
        raise ConfigError(f"--detections {detections}: {known}")
    changes = list(settings or ())
    for text in changes:
        if text.partition(".")[0] not in GROUPS:
            raise ConfigError(f"--set {text!r}: expected GROUP.NAME=VALUE with one of the groups {', '.join(GROUPS)}")
    if detections is None and any(text.startswith("noisy_gt.") for text in changes):
        raise ConfigError(f"--set noisy_gt... needs --detections {NOISY_GT}")
    if covariance_scale is not None:
        if detections is None:
            raise ConfigError(f"--covariance-scale needs --detections {NOISY_GT}: it is that of its noise")
        changes.append(f"noisy_gt.covariance_scale={covariance_scale}")
    noise = None if detections is None else with_group(NoisyTruthConfig(seed=seed), changes, "noisy_gt")
    return Plan(noise, changes, motion, motion_weight)


def mot_of(sources: Sequence[str]) -> bool:
    """Whether the sources are MOTChallenge sequences, or folders of such.

    Raises:
        ConfigError: some are and some are not.
    """
    from pose_tracking.datasets.mot import is_mot

    found = [not text.startswith("simulated:") and is_mot(text) for text in sources]
    if any(found) and not all(found):
        raise ConfigError("MOTChallenge sequences cannot be pooled with anything else: give such folders only")
    return any(found)


def recordings_of(sources: Sequence[str]) -> list[Path]:
    """The files of recorded detections that are the sources; none where these are something else.

    Raises:
        ConfigError: some are and some are not.
    """
    files = [text for text in sources if text.endswith(".npz")]
    if files and len(files) < len(sources):
        raise ConfigError("recorded detections (.npz) cannot be pooled with anything else: give such files only")
    return [Path(text) for text in files]
