"""Networks that look at the tracks beside the rules: the clip network, and keypoints of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import ClipVerdict
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject

from .config import EventConfig

if TYPE_CHECKING:
    # The networks bring PyTorch, which most pipelines need not wait for here.
    from .clips.recognizer import ClipRecognizer
    from .people.recognizer import PeopleRecognizer


@dataclass(eq=False)
class Watchers:
    """Those that are asked for; of a person both may say something, keypoints are believed where there are any.

    Attributes:
        clips: looks at clips, or None.
        people: looks at keypoints of people, or None.
    """

    clips: ClipRecognizer | None = None
    people: PeopleRecognizer | None = None

    def update(
        self,
        frame: RGBDFrame,
        tracked: Sequence[TrackedObject],
        config: EventConfig,
        camera_pose: Float | None = None,
    ) -> None:
        """Look at a frame; `camera_pose` (4, 4) is ``T_fixed_camera``, given or measured; None where unknown."""
        if self.clips is not None:
            self.clips.update(frame, tracked, config, camera_pose)
        if self.people is not None:
            self.people.update(frame, tracked, config.people)

    def reset(self) -> None:
        """Forget all tracks."""
        for each in (self.clips, self.people):
            if each is not None:
                each.reset()

    @property
    def verdicts(self) -> dict[int, ClipVerdict]:
        """What was last said of each confirmed track."""
        return self._joined("verdicts")

    @property
    def changes(self) -> dict[int, ClipVerdict]:
        """What the last frame has changed."""
        return self._joined("changes")

    def _joined(self, name: str) -> dict[int, ClipVerdict]:
        clips: dict[int, ClipVerdict] = {} if self.clips is None else getattr(self.clips, name)
        if self.people is None:
            return dict(clips)
        mine = self.people.verdicts
        return {track: said for track, said in clips.items() if track not in mine} | getattr(self.people, name)
