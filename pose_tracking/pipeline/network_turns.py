"""Which tracked objects the pose network looks at in a frame.

An object that its track follows well needs no network, yet a track must not confirm itself for ever: one that has
settled on the wrong side of an object, or has changed over to a neighbour, fits well enough to go on. So each is looked
at in turn, and out of turn where its pose confidence has fallen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pose_tracking.core.results import Detection
from pose_tracking.tracking.track import Track

# By how much the pose confidence may fall below the highest since the network has last looked. From frame to frame it
# changes by 0.05.
FALL = 0.1
# Below it the network looks in every frame: it is not known well how the object stands.
LEAST = 0.5
# From it on a fall alone is no reason to look: with the detector on every frame, and on fewer, where the depth was
# watched between them. On every fifth frame of simulated sequences none of 29 looks at what had fallen to 0.5 or more
# led to another pose, 6 of 39 at what had fallen lower.
SURE, SURE_WATCHED = 0.7, 0.6


@dataclass(frozen=True)
class _Look:
    """How the object of a track has fared since the network has last looked at it.

    Attributes:
        frames: frames with the detector since then.
        confidence: the highest pose confidence of these frames.
    """

    frames: int
    confidence: float


class NetworkTurns:
    """Remembers when the network has looked at each track.

    Attributes:
        sure: pose confidence from which a fall alone is no reason to look; may be changed between two frames.
    """

    def __init__(self, sure: float = SURE) -> None:
        self.sure = sure
        self._looks: dict[int, _Look] = {}

    def followable(self, tracks: Sequence[Track], every: int) -> list[Track]:
        """The tracks whose objects need no network in the coming frame if they are where they are expected.

        Args:
            tracks: the live tracks.
            every: the network looks at each object in every so many frames with the detector. Of objects whose turn
                has come at once, some wait a little, so that no frame has to do what others have saved.
        """
        known = [t for t in tracks if t.is_confirmed and t.frames_since_seen <= 1 and t.track_id in self._looks]
        waiting = sorted(known, key=lambda t: -self._looks[t.track_id].frames)
        most = -(-len(known) // every)
        due = {t.track_id for t in waiting[:most] if self._looks[t.track_id].frames + 1 >= every}
        return [t for t in known if t.track_id not in due]

    def after(self, followed: Iterable[int]) -> NetworkTurns:
        """What is remembered once the frame in the works is done, as far as that can be told by now.

        Args:
            followed: IDs of the tracks that were followed in it; at the others the network looks.
        """
        turns, spared = NetworkTurns(self.sure), set(followed)
        for track_id, look in self._looks.items():
            turns._looks[track_id] = replace(look, frames=look.frames + 1 if track_id in spared else 0)
        return turns

    def least_confidence(self, track: Track) -> float:
        """Pose confidence from which the object of a `followable` track is where it is expected."""
        return min(max(LEAST, self._looks[track.track_id].confidence - FALL), self.sure)

    def frame_done(self, matches: Iterable[tuple[Track, Detection]]) -> None:
        """The detector has run; `matches` are the tracks of its frame and the detections that continue them."""
        before, self._looks = self._looks, {}
        for track, detection in matches:
            if detection.pose is None:
                continue
            confidence, last = detection.pose.confidence, before.get(track.track_id)
            if detection.pose.raw_pose is not None:
                self._looks[track.track_id] = _Look(0, confidence)
            elif last is not None:
                self._looks[track.track_id] = _Look(last.frames + 1, max(confidence, last.confidence))
