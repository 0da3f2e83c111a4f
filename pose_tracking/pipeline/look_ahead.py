"""The detector on the coming frame, beside what is done with the present one.

The detector knows nothing of the tracks, so what it says of a frame does not depend on when it is asked. While the pose
stage and the tracker are busy with one frame, the detector may therefore look at the next, as a processor's pipeline
does: with a second core nearly twice the frames, each of which takes as long as ever, with the same results.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from pose_tracking.core.background import BackgroundThread
from pose_tracking.core.depth_holes import without_sprinkled_holes
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.core.threads import free_cores

Item = TypeVar("Item")

# Frames that are looked at ahead of their turn, the one in the works included: more would only grow old.
MOST_FRAMES = 2


def stages_at_once(segment_every: int) -> int:
    """How many stages compute at once, for `core.threads.use_threads`, where the detector runs on every n-th frame.

    On every one, it and the others always do. Otherwise most of a frame without the detector is done before it, and a
    frame with it is sooner done with all cores.
    """
    return 2 if segment_every == 1 else 1


@dataclass(eq=False)
class _Begun:
    """A frame that the detector looks at, or has looked at, before its turn."""

    frame: RGBDFrame
    instances: Future[Instances | None]


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
        self._changing, self._asking = threading.Lock(), threading.Lock()

    def begin(self, frame: RGBDFrame, fill_holes_from: float) -> bool:
        """Have the detector look at a frame; from any thread.

        Args:
            frame: as it will be given to `PoseTracker.update`.
            fill_holes_from: see `core.depth_holes.without_sprinkled_holes`.

        Returns:
            Whether it will: not with a single core, and not while as many as `MOST_FRAMES` wait.
        """
        if not self._has_cores:
            return False
        with self._changing:
            if len(self._begun) >= MOST_FRAMES:
                return False
            self._begun.append(_Begun(frame, self._thread.submit(lambda: self._look_at(frame, fill_holes_from))))
        return True

    def comes(self, frame: RGBDFrame) -> None:
        """It is a frame's turn; those that have come before it are forgotten."""
        with self._changing:
            place = next((i for i, begun in enumerate(self._begun) if _is_same(begun.frame, frame)), None)
            before, self._turn = self._begun, None if place is None else self._begun[place]
            if place is not None:
                self._begun = before[place + 1 :]
            else:  # only the last may be one of those that are still to come
                self._begun = [begun for begun in before[-1:] if begun.frame.stamp_ns > frame.stamp_ns]
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


def in_turn(items: Iterable[Item], begin: Callable[[Item], object]) -> Iterator[Item]:
    """The items one by one, each after `begin` was called for the one that follows it.

    Raises:
        Exception: what `items` raises for one of them, after those before it.
    """
    iterator = iter(items)
    missing = object()
    current: Item | object = next(iterator, missing)
    while current is not missing:
        failure: Exception | None = None
        following: Item | object = missing
        try:
            following = next(iterator, missing)
        except Exception as error:
            failure = error
        if following is not missing:
            begin(following)  # type: ignore[arg-type]
        yield current  # type: ignore[misc]
        if failure is not None:
            raise failure
        current = following


def _is_same(one: RGBDFrame, other: RGBDFrame) -> bool:
    """Whether the detector sees the same in both; the pose of the camera is nothing to it."""
    return (
        one.color is other.color
        and one.depth is other.depth
        and one.stamp_ns == other.stamp_ns
        and one.intrinsics == other.intrinsics
        and one.has_depth == other.has_depth
    )
