"""What is to be taken in: a recording, the camera it is of, and how; as plain values that cross processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.settings import with_settings

from .camera_place import read_camera_place
from .collector import CollectorConfig
from .ingest import CameraSettings
from .query import nanoseconds_of
from .recordings import fingerprint_of, fingerprint_of_text
from .sighting import check_camera_name
from .store import Recording

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.sample import Source
    from pose_tracking.simulation.sequences.plain import SequenceConfig

SIMULATED = "simulated:"
TF = "tf"
MOST_OFFSET = 4e9  # seconds, a century and more: what is beyond is no clock's
# Groups of settings that are not the bundle's.
_OWN_GROUPS = ("gallery", "simulated")


@dataclass(frozen=True)
class IngestJob:
    """A recording to be taken in.

    Attributes:
        recording: path, or ``simulated:SEED``.
        camera: name of its camera.
        model, objects: bundle, and folder of its meshes where it does not ship them.
        camera_pose: file with the camera's pose in the map; ``tf``: the recording has to have it; None: if it has it.
        map_frame: name of the frame that poses are in; None: that of the file, else as `camera_settings` says.
        clock_offset: seconds added to each stamp.
        start: time of the first frame in ISO 8601, or None.
        settings: NAME=VALUE of the bundle, of ``gallery.`` (what is kept) and of ``simulated.``.
        max_frames: stop after so many.
    """

    recording: str
    camera: str
    model: str = "demo"
    objects: str | None = None
    camera_pose: str | None = None
    map_frame: str | None = None
    clock_offset: float = 0.0
    start: str | None = None
    settings: tuple[str, ...] = ()
    max_frames: int | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether it is rendered as it is taken in."""
        return self.recording.startswith(SIMULATED)

    @property
    def bundle_settings(self) -> list[str]:
        """The settings that are the bundle's."""
        return [text for text in self.settings if text.partition(".")[0] not in _OWN_GROUPS]

    def check(self) -> None:
        """Check all but what is in the recording and the bundle.

        Raises:
            ConfigError: a name, time, setting or file with a pose cannot be used.
        """
        from pose_tracking.simulation.sequences.source import parse_seeds

        check_camera_name(self.camera)
        camera_settings(self)
        self.collector()
        if self.is_simulated:
            parse_seeds(self.recording)
        elif self._of_group("simulated"):
            raise ConfigError(f"--set simulated...: {self.recording} is not simulated")
        self.sequence()

    def collector(self) -> CollectorConfig:
        """What is kept of a track."""
        return with_settings(CollectorConfig(), self._of_group("gallery"), "--set gallery")

    def sequence(self) -> SequenceConfig:
        """What simulated sequences look like."""
        from pose_tracking.simulation.sequences.plain import SequenceConfig

        return with_settings(SequenceConfig(), self._of_group("simulated"), "--set simulated")

    def _of_group(self, group: str) -> list[str]:
        return [text.partition(".")[2] for text in self.settings if text.startswith(f"{group}.")]

    def fingerprint(self) -> str:
        """What the recording is known by, under any name.

        Raises:
            DatasetError: it is not there, or cannot be read.
        """
        if self.is_simulated:
            return fingerprint_of_text(f"{self.recording} {self.sequence()}")
        if not Path(self.recording).expanduser().exists():
            raise DatasetError(f"{self.recording}: no such file or folder")
        return fingerprint_of(self.recording)

    def open(self, bundle: ModelBundle) -> Source:
        """Its frames.

        Raises:
            DatasetError: there are none that can be read.
        """
        from pose_tracking.datasets import open_source
        from pose_tracking.simulation.sequences.source import SimulatedSequences, parse_seeds

        if not self.is_simulated:
            return open_source(self.recording)
        return SimulatedSequences(bundle.objects, parse_seeds(self.recording), self.sequence())

    @property
    def known(self) -> dict[str, Any]:
        """What a store keeps of how a recording was taken in, but for the weights."""
        return {
            "model": str(Path(self.model).resolve()) if Path(self.model).is_dir() else self.model,
            "settings": sorted(self.settings),
            "max_frames": self.max_frames,
            "camera": [self.camera_pose, self.map_frame, self.clock_offset, self.start],
        }

    def entry(self, source: Source, bundle: ModelBundle) -> Recording:
        """How it stands in a store."""
        from pose_tracking.networks.weights import fingerprint

        # A bundle without training has none.
        weights = fingerprint(bundle.segmentation_weights) if bundle.segmentation_weights.is_file() else "none"
        known = {**self.known, "weights": weights}
        return Recording(self.camera, source.name if self.is_simulated else self.recording, self.fingerprint(), known)


def camera_settings(job: IngestJob, source: Source | None = None) -> CameraSettings:
    """How the frames of a job are to be read.

    Data sets have a world of their own each, and often a scene 000000; that of bags is a robot's. So where nothing
    names the map, it is ``map`` for a bag, else the path of the recording.

    Args:
        job: what is to be taken in.
        source: its frames, which the name of the map may depend on.

    Raises:
        ConfigError: the time or the file with the pose cannot be read.
    """
    from pose_tracking.datasets.bag.reader import BagReader

    place = None if job.camera_pose in (None, TF) else read_camera_place(str(job.camera_pose))
    named = job.map_frame or (None if place is None else place.map_frame)
    start_ns = None
    if job.start is not None:
        try:
            start_ns = nanoseconds_of(datetime.fromisoformat(job.start))
        except (ValueError, OverflowError, OSError) as error:
            raise ConfigError(f"--start {job.start!r}: no time; write 2026-11-29T10:00") from error
    pose = None if place is None else place.pose
    if not abs(job.clock_offset) < MOST_OFFSET:
        raise ConfigError(
            f"--clock-offset {job.clock_offset:g}: expected seconds, less than {MOST_OFFSET:g} either way"
        )
    settings = CameraSettings(named or "map", pose, job.camera_pose == TF, round(job.clock_offset * 1e9), start_ns)
    if named is not None or place is not None or source is None or isinstance(source, BagReader):
        return settings
    return replace(settings, map_frame=source.name if job.is_simulated else str(Path(job.recording).resolve()))
