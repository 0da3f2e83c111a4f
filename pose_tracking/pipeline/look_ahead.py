"""The detector on a coming frame, beside what is done with the present one.

The detector knows nothing of the tracks, so what it says of a frame does not depend on when it is asked. While the pose
stage and the tracker are busy with one frame, the detector may therefore look at the next, as a processor's pipeline
does: with a second core nearly twice the frames, each of which takes as long as ever, with the same results. Where it
runs on every n-th frame only, and those between are at hand, it has all of their time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from pose_tracking.bundles.pipeline_config import AUTO
from pose_tracking.core.background import BackgroundThread
from pose_tracking.core.depth_holes import without_sprinkled_holes
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.core.threads import free_cores

Item = TypeVar("Item")

# Frames that are looked at ahead of their turn, the one in the works included: more would only grow old.
MOST_FRAMES = 2
# Frames without the detector that together take as long as it takes for one.
_LONG_ENOUGH = 5


def stages_at_once(segment_every: int) -> int:
    """How many stages compute at once, for `core.threads.use_threads`, where the detector runs on every n-th frame.

    On every one, it and the others always do. Otherwise it is done before its frame has its turn, and what else that
    frame takes is sooner done with all cores.
    """
    return 2 if segment_every == 1 else 1


def frames_ahead(segment_every: int) -> int:
    """How many frames to read ahead, where they are at hand, for the detector to begin with as soon as it may."""
    return min(segment_every, _LONG_ENOUGH) if segment_every != AUTO else _LONG_ENOUGH


@dataclass(eq=False)
class _Begun:
    """A frame that the detector looks at, or has looked at, before its turn, which is past after so many frames."""

    frame: RGBDFrame
    instances: Future[Instances | None]
    last: int


class LookAhead:
    """Runs the detector on frames whose turn has not come.

    Args:
        segment: asks the detector, see `Segmenter`; called by one thread at a time.
    """

    def __init__(self, segment: Callable[[RGBDFrame], Instances]) -> None:
        self._segment = segment
        self._has_cores = free_cores() > 1  # read from files of the system: not in every frame
        self._thread = BackgroundThread("look-ahead")
        self._begun: list[_Begun] = []
        self._turn: _Begun | None = None
        self._frames = 0
        self._changing, self._asking = threading.Lock(), threading.Lock()

    def begin(self, frame: RGBDFrame, fill_holes_from: float, ahead: int = 1) -> bool:
        """Have the detector look at a frame; from any thread.

        Args:
            frame: as it will be given to `PoseTracker.update`.
            fill_holes_from: see `core.depth_holes.without_sprinkled_holes`.
            ahead: how many frames after the present one it has its turn.

        Returns:
            Whether it will: not with a single core, and not while as many as `MOST_FRAMES` wait.
        """
        if not self._has_cores:
            return False
        with self._changing:
            if len(self._begun) >= MOST_FRAMES:
                return False
            instances = self._thread.submit(lambda: self._look_at(frame, fill_holes_from))
            # The present frame may have come already, or not yet.
            self._begun.append(_Begun(frame, instances, self._frames + 1 + ahead))
        return True

    def comes(self, frame: RGBDFrame) -> None:
        """It is a frame's turn; those that have come before it are forgotten."""
        with self._changing:
            self._frames += 1
            before = self._begun
            self._turn = next((begun for begun in before if _is_same(begun.frame, frame)), None)
            self._begun = [begun for begun in before if begun.frame.stamp_ns > frame.stamp_ns]
            self._begun = [begun for begun in self._begun if begun.last > self._frames and begun is not self._turn]
            self._forget(begun for begun in before if begun is not self._turn and begun not in self._begun)

    def segment(self, frame: RGBDFrame) -> tuple[Instances, bool]:
        """The instances of the frame whose turn it is, and whether they were found ahead of it.

        Raises:
            Exception: what the detector raises for it.
        """
        begun, self._turn = self._turn, None
        # One that has failed is asked again, and says why.
        found = None if begun is None else begun.instances.result()
        if found is not None:
            return found, True
        with self._asking:
            return self._segment(frame), False

    def drop(self) -> None:
        """Forget what was begun: the detector, or what it is shown, is about to change."""
        with self._changing:
            self._forget(self._begun)
            self._begun, self._turn = [], None
        with self._asking:  # until it is at rest
            pass

    def _look_at(self, frame: RGBDFrame, fill_holes_from: float) -> Instances | None:
        try:
            frame.check()
            with self._asking:
                return self._segment(without_sprinkled_holes(frame, fill_holes_from))
        except Exception:  # whatever it is, it will be raised where the frame has its turn
            return None

    @staticmethod
    def _forget(begun: Iterable[_Begun]) -> None:
        for each in begun:
            each.instances.cancel()


def in_turn(items: Iterable[Item], begin: Callable[[Item, int], bool], reach: int = 1) -> Iterator[Item]:
    """The items one by one; before each has its turn, those that follow it are offered to `begin`.

    Args:
        items: read up to `reach` ahead.
        begin: called with an item and how many places after the coming one it stands; whether work on it has begun. If
            not, it is offered again the next time.
        reach: e.g. `frames_ahead`.

    Raises:
        Exception: what `items` raises for one of them, after those before it.
    """
    iterator = iter(items)
    waiting: deque[tuple[Item, bool]] = deque()
    failure: Exception | None = None
    is_over = False
    while True:
        while not is_over and len(waiting) <= reach:
            try:
                waiting.append((next(iterator), False))
            except StopIteration:
                is_over = True
            except Exception as error:
                failure, is_over = error, True
        if not waiting:
            break
        current, _ = waiting.popleft()
        for ahead, (item, begun) in enumerate(tuple(waiting), 1):
            waiting[ahead - 1] = item, begun or begin(item, ahead)
        yield current
        del current  # nor is it kept while the next are read
    if failure is not None:
        raise failure


def _is_same(one: RGBDFrame, other: RGBDFrame) -> bool:
    """Whether the detector sees the same in both; the pose of the camera is nothing to it."""
    return (
        one.color is other.color
        and one.depth is other.depth
        and one.stamp_ns == other.stamp_ns
        and one.intrinsics == other.intrinsics
        and one.has_depth == other.has_depth
    )
