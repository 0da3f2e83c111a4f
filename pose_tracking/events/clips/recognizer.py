"""What a network says of the tracks, a few of them a frame, all in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.events import PEOPLE, UNKNOWN, ClipVerdict
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject

from .config import ClipConfig
from .memory import ClipMemory

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

    Attributes:
        verdicts: what it last said of each confirmed track, by track ID.
        changes: those that this frame has changed.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self.verdicts: dict[int, ClipVerdict] = {}
        self.changes: dict[int, ClipVerdict] = {}
        self._memory = ClipMemory()
        self._count = 0

    def update(self, frame: RGBDFrame, tracked: Sequence[TrackedObject], config: ClipConfig) -> None:
        """Keep a frame, and look at those of its tracks whose turn it is.

        Args:
            frame: the frame.
            tracked: all live tracks after it.
            config: the options.
        """
        self.changes = {}
        confirmed = [thing for thing in tracked if thing.is_confirmed]
        alive = {thing.track_id for thing in confirmed}
        self.verdicts = {track: said for track, said in self.verdicts.items() if track in alive}
        if not self._memory.wants(frame.stamp_ns):
            return
        self._memory.keep(frame.stamp_ns, frame.color, list(tracked))
        self._count += 1
        due = [thing for thing in confirmed if (self._count + thing.track_id) % config.every == 0]
        clips = {thing.track_id: self._memory.clip(thing.track_id, self.classifier.side) for thing in due}
        cut = {track: clip for track, clip in clips.items() if not isinstance(clip, str)}
        said = dict(zip(cut, self.classifier.probabilities([clip.frames for clip in cut.values()]), strict=True))
        for thing in due:
            clip = clips[thing.track_id]
            if isinstance(clip, str):
                verdict = ClipVerdict(UNKNOWN, 0.0, frame.stamp_ns, frame.stamp_ns, clip)
            else:
                label, probability = self._label(said[thing.track_id], thing.class_name)
                note = ""
                if probability < config.min_probability:
                    label, note = UNKNOWN, f"unsure: {label} at {probability:.2f}"
                verdict = ClipVerdict(label, probability, clip.onset_ns, clip.end_ns, note)
            before = self.verdicts.get(thing.track_id)
            self.verdicts[thing.track_id] = verdict
            if before is None or before.label != verdict.label:
                self.changes[thing.track_id] = verdict

    def _label(self, probabilities: Float32, class_name: str) -> tuple[str, float]:
        """The likeliest of the classes that such a track can have, and its probability among all."""
        never = _OF_THINGS if class_name in PEOPLE else _OF_PEOPLE
        allowed = [n for n, name in enumerate(self.classifier.classes) if name not in never]
        if not allowed:
            return UNKNOWN, 0.0
        best = allowed[int(np.argmax(probabilities[allowed]))]
        return self.classifier.classes[best], float(probabilities[best])
