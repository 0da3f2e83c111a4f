"""The detector on a coming frame, beside what is done with the present one.

The detector knows nothing of the tracks, so what it says of a frame does not depend on when it is asked. While the pose
stage and the tracker are busy with one frame, the detector may therefore look at the next, as a processor's pipeline
does: with a second core nearly twice the frames, each of which takes as long as ever, with the same results. Where it
runs on every n-th frame only, and those between are at hand, it has all of their time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pose_tracking.bundles.pipeline_config import AUTO
from pose_tracking.core.background import BackgroundThread
from pose_tracking.core.depth_holes import without_sprinkled_holes
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.core.threads import free_cores
from pose_tracking.pose.hypotheses.foretold import Foretold

LOGGER = logging.getLogger(__name__)

Item = TypeVar("Item")

# Frames that are looked at ahead of their turn, the one in the works included: more would only grow old.
MOST_FRAMES = 4
# Frames without the detector that together take as long as it takes for one.
_LONG_ENOUGH = 5


def stages_at_once(segment_every: int, reach: int = 1) -> int:
    """How many stages compute at once, for `core.threads.use_threads`, where the detector runs on every n-th frame.

    On every one, it and the others always do, and on fewer where it may begin `reach` frames ahead. Where only the next
    frame is at hand, most of one without the detector is done before that comes, and a frame with it is sooner done
    with all cores.
    """
    return 2 if segment_every == 1 or reach > 1 else 1


def frames_ahead(segment_every: int) -> int:
    """How many frames to read ahead, where they are at hand, for the detector to begin with as soon as it may."""
    return min(segment_every, _LONG_ENOUGH) if segment_every != AUTO else _LONG_ENOUGH


@dataclass(frozen=True)
class Looked:
    """What there is to know of a frame before its turn.

    Attributes:
        frame: as the stages are to see it, its sprinkled holes filled.
        instances: what the detector finds in it.
        seconds: what it took for that.
    """

    frame: RGBDFrame
    instances: Instances
    seconds: float


@dataclass(eq=False)
class _Begun:
    """A frame that is looked at, or was, before its turn.

    Attributes:
        frame: it.
        last: number of the frame after which its turn is past.
        looked: what comes of it; None where it cannot be used.
        foretold: what else can be said of it; None where that is nothing, or there was no time.
    """

    frame: RGBDFrame
    last: int
    looked: Future[Looked | None] = field(init=False)
    foretold: Future[Foretold | None] = field(init=False)

    def cancel(self) -> None:
        self.looked.cancel()
        self.foretold.cancel()


class LookAhead:
    """Runs the detector on frames whose turn has not come.

    Args:
        segment: asks the detector, see `Segmenter`.
        foretell: asks the pose network of what the detector has found, where it may be wanted. It is called while no
            other frame waits for the detector. Neither is called but by one thread at a time.
    """

    def __init__(
        self,
        segment: Callable[[RGBDFrame], Instances],
        foretell: Callable[[Looked], Foretold | None] = lambda looked: None,
    ) -> None:
        self._segment, self._foretell = segment, foretell
        self._has_cores = free_cores() > 1  # read from files of the system: not in every frame
        self._thread = BackgroundThread("look-ahead")
        self._begun: list[_Begun] = []
        self._turn: _Begun | None = None
        self._foretold: Future[Foretold | None] | None = None
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
            # The present frame may have come already, or not yet.
            begun = _Begun(frame, self._frames + 1 + ahead)
            begun.looked = self._thread.submit(lambda: self._look_at(frame, fill_holes_from))
            begun.foretold = self._thread.submit(lambda: self._think_of(begun))
            self._begun.append(begun)
        return True

    def comes(self, frame: RGBDFrame) -> None:
        """It is a frame's turn; those that have come before it are forgotten."""
        with self._changing:
            self._frames += 1
            before, self._foretold = self._begun, None
            self._turn = next((begun for begun in before if _is_same(begun.frame, frame)), None)
            self._begun = [begun for begun in before if begun.frame.stamp_ns > frame.stamp_ns]
            self._begun = [begun for begun in self._begun if begun.last > self._frames and begun is not self._turn]
            self._forget(begun for begun in before if begun is not self._turn and begun not in self._begun)

    def filled(self, frame: RGBDFrame, fill_holes_from: float) -> RGBDFrame:
        """The frame whose turn it is as the stages are to see it; see `begin`."""
        if self._turn is not None and self._turn.looked.done() and (looked := self._turn.looked.result()) is not None:
            return replace(frame, depth=looked.frame.depth, readings=looked.frame.readings)
        return without_sprinkled_holes(frame, fill_holes_from)

    def segment(self, frame: RGBDFrame) -> tuple[Instances, float | None]:
        """The instances of the frame whose turn it is, and the seconds they took ahead of it; None: found now.

        Raises:
            Exception: what the detector raises for it.
        """
        begun, self._turn = self._turn, None
        # One that has failed is asked again, and says why.
        looked = None if begun is None else begun.looked.result()
        if begun is not None and looked is not None:
            self._foretold = begun.foretold
            return looked.instances, looked.seconds
        with self._asking:
            return self._segment(frame), None

    def foretold(self) -> Foretold | None:
        """What else was said of the frame given to `segment`; it is waited for only where it is in the works."""
        foretold, self._foretold = self._foretold, None
        return None if foretold is None or foretold.cancel() else foretold.result()

    def drop(self) -> None:
        """Forget what was begun: the detector, or what it is shown, is about to change."""
        with self._changing:
            self._forget(self._begun)
            self._begun, self._turn, self._foretold = [], None, None
        with self._asking:  # until it is at rest
            pass

    def _look_at(self, frame: RGBDFrame, fill_holes_from: float) -> Looked | None:
        try:
            frame.check()
            with self._asking:
                began = time.monotonic()
                filled = without_sprinkled_holes(frame, fill_holes_from)
                return Looked(filled, self._segment(filled), time.monotonic() - began)
        except Exception:  # whatever it is, it will be raised where the frame has its turn
            return None

    def _think_of(self, begun: _Begun) -> Foretold | None:
        looked = None if begun.looked.cancelled() else begun.looked.result()
        if looked is None or any(not other.looked.done() for other in tuple(self._begun)):
            return None
        try:
            with self._asking:
                return self._foretell(looked)
        except Exception:  # it is asked again where the frame has its turn
            LOGGER.debug("nothing was foretold of a frame", exc_info=True)
            return None

    @staticmethod
    def _forget(begun: Iterable[_Begun]) -> None:
        for each in begun:
            each.cancel()


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
