"""What the tracked people do, a few of them looked at in each frame."""

from __future__ import annotations

from collections.abc import Sequence

from pose_tracking.core.events import PEOPLE, UNKNOWN, ClipVerdict
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject

from .config import PeopleConfig
from .keypoints import KeypointNetwork
from .rules import PersonStory


class PeopleRecognizer:
    """Follows the keypoints of the tracked people.

    Args:
        network: finds them.

    Attributes:
        verdicts: what each confirmed person does, by track ID.
        changes: those that this frame has changed.
    """

    def __init__(self, network: KeypointNetwork) -> None:
        self.network = network
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self.verdicts: dict[int, ClipVerdict] = {}
        self.changes: dict[int, ClipVerdict] = {}
        self._stories: dict[int, PersonStory] = {}
        self._count = 0

    def update(self, frame: RGBDFrame, tracked: Sequence[TrackedObject], config: PeopleConfig) -> None:
        """Look at the people whose turn it is.

        Args:
            frame: the frame.
            tracked: all live tracks after it.
            config: the options.
        """
        self._count += 1
        self.changes = {}
        people = [thing for thing in tracked if thing.is_confirmed and thing.class_name in PEOPLE]
        alive = {thing.track_id for thing in people}
        self._stories = {track: story for track, story in self._stories.items() if track in alive}
        self.verdicts = {track: said for track, said in self.verdicts.items() if track in alive}
        for thing in people:
            story = self._stories.setdefault(thing.track_id, PersonStory())
            if thing.is_observed and (self._count + thing.track_id) % config.every == 0:
                found = self.network(frame.color, thing.box)
                if found.presence >= config.min_presence:
                    story.see(frame.stamp, found)
            label, surely, note = story.doing(frame.stamp, config)
            before = self.verdicts.get(thing.track_id)
            onset = frame.stamp_ns if before is None or before.label != (label or UNKNOWN) else before.onset_ns
            said = ClipVerdict(label or UNKNOWN, surely, onset, frame.stamp_ns, note, "keypoints")
            self.verdicts[thing.track_id] = said
            if before is None or before.label != said.label:
                self.changes[thing.track_id] = said
