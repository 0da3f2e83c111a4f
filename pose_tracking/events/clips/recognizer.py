"""What a network says of the tracks, a few of them a frame, all in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.core.events import PEOPLE, UNKNOWN, ClipVerdict
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject
from pose_tracking.events.config import EventConfig
from pose_tracking.objects import ObjectSet

from .evidence import PoseEvidence
from .memory import ClipMemory, CutClip, View

# Labels that only people have, and only things.
_OF_PEOPLE = ("falling", "running", "walking", "standing")
_OF_THINGS = ("fell", "knocked_over", "placed", "carried", "moved", "still")


class Classifier(Protocol):
    """What says of clips what happens in them: `networks.clips.classifier.ClipClassifier`, or one of your own."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what it tells apart."""
        ...

    @property
    def side(self) -> int:
        """Pixels of the pictures it wants."""
        ...

    def probabilities(self, clips: Sequence[UInt8]) -> Float32:
        """(B, classes) of B clips, (16, side, side, 4) each: RGB, and the mask of the track as 0 and 255."""
        ...


class ClipRecognizer:
    """Looks at the clips of the tracks.

    Args:
        classifier: the network.
        objects: of the tracks, whose poses may contradict it; None: nothing does.

    Attributes:
        verdicts: what it last said of each confirmed track, by track ID.
        changes: those that this frame has changed.
    """

    def __init__(self, classifier: Classifier, objects: ObjectSet | None = None) -> None:
        self.classifier, self._objects = classifier, objects
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self.verdicts: dict[int, ClipVerdict] = {}
        self.changes: dict[int, ClipVerdict] = {}
        self._memory = ClipMemory()
        self._evidence = None if self._objects is None else PoseEvidence(self._objects)
        self._count, self._measured = 0, True

    def update(
        self,
        frame: RGBDFrame,
        tracked: Sequence[TrackedObject],
        config: EventConfig,
        camera_pose: Float | None = None,
    ) -> None:
        """Keep a frame, and look at those of its tracks whose turn it is.

        Args:
            frame: the frame.
            tracked: all live tracks after it.
            config: the options.
            camera_pose: (4, 4) ``T_fixed_camera``, from wherever it is known; None: the camera is taken to stand still.
        """
        self.changes = {}
        confirmed = [thing for thing in tracked if thing.is_confirmed]
        alive = {thing.track_id for thing in confirmed}
        self.verdicts = {track: said for track, said in self.verdicts.items() if track in alive}
        if not self._memory.wants(frame.stamp_ns):
            return
        measured = frame.camera_pose is None
        view = None if camera_pose is None else View(camera_pose, frame.intrinsics, measured)
        self._memory.keep(frame.stamp_ns, frame.color, list(tracked), view)
        if self._evidence is not None:
            if measured != self._measured:  # poses are in another frame from here on
                self._evidence.reset()
            self._evidence.keep(frame.stamp_ns, tracked, np.eye(4) if camera_pose is None else camera_pose)
        self._measured = measured
        self._count += 1
        due = [thing for thing in confirmed if (self._count + thing.track_id) % config.clips.every == 0]
        clips = {thing.track_id: self._memory.clip(thing.track_id, self.classifier.side) for thing in due}
        cut = {track: clip for track, clip in clips.items() if not isinstance(clip, str)}
        said = dict(zip(cut, self.classifier.probabilities([clip.frames for clip in cut.values()]), strict=True))
        for thing in due:
            clip = clips[thing.track_id]
            if isinstance(clip, str):
                verdict = ClipVerdict(UNKNOWN, 0.0, frame.stamp_ns, frame.stamp_ns, clip)
            else:
                verdict = self._verdict(said[thing.track_id], thing, clip, config)
            before = self.verdicts.get(thing.track_id)
            self.verdicts[thing.track_id] = verdict
            if before is None or before.label != verdict.label:
                self.changes[thing.track_id] = verdict

    def _verdict(self, probabilities: Float32, thing: TrackedObject, clip: CutClip, config: EventConfig) -> ClipVerdict:
        """What is said of a clip, given what the network says and whether the poses contradict it."""
        label, probability = self._label(probabilities, thing.class_name)
        note = ""
        if probability < config.clips.min_probability:
            note = f"unsure: {label} at {probability:.2f}"
        elif self._evidence is not None and config.clips.check_poses:
            note = self._evidence.against(thing.track_id, label, clip.onset_ns, config)
        return ClipVerdict(UNKNOWN if note else label, probability, clip.onset_ns, clip.end_ns, note)

    def _label(self, probabilities: Float32, class_name: str) -> tuple[str, float]:
        """The likeliest of the classes that such a track can have, and its probability among all."""
        never = _OF_THINGS if class_name in PEOPLE else _OF_PEOPLE
        allowed = [n for n, name in enumerate(self.classifier.classes) if name not in never]
        if not allowed:
            return UNKNOWN, 0.0
        best = allowed[int(np.argmax(probabilities[allowed]))]
        return self.classifier.classes[best], float(probabilities[best])
