"""A bag played over DDS into a running tracker node, and what the node answered."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message

from pose_tracking.core.errors import ConfigError, PoseTrackingError
from pose_tracking.datasets.bag.reader import open_bag
from pose_tracking.datasets.bag.topics import Topics
from pose_tracking.evaluation.report.results import FrameResult
from pose_tracking.msg import TrackedObjectArray
from pose_tracking.ros.messages.conversions import from_tracked_object
from pose_tracking.ros.messages.synchronizer import PairSynchronizer

from .player import BagPlayer
from .spinning import spin_until, spin_until_moment

NODE = "/tracker"
START_SECONDS = 900.0  # the first start of all compiles: minutes, where other things run; a node that ends is noticed
PAIR_SLOP_NS = 20_000_000
ANSWER_SECONDS = 30.0
# Messages that begin with a std_msgs/Header begin with its stamp, after CDR's four bytes of encapsulation.
_STAMP = struct.Struct("<iI")


class NodeEnded(PoseTrackingError):
    """The tracker node has ended although it should run."""


@dataclass
class Answers:
    """What came back while a bag was played.

    Attributes:
        results: by stamp of the frame, once all have come.
        frames: colour images published that had a depth image.
        drops: frames and images the node says it dropped, by reason.
        hurried: frames answered without the detector, as newer ones waited.
    """

    results: dict[int, FrameResult] = field(default_factory=dict)
    frames: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    hurried: int = 0


class _StampPairs:
    """Which colour images of a bag have a depth image, by the stamps of the serialised messages."""

    def __init__(self, topics: Topics) -> None:
        self._streams = {topics.color: 0, topics.depth: 1}
        self._pairs = PairSynchronizer(PAIR_SLOP_NS, 100, lambda reason, gap: None, lambda jump: None)

    def add(self, topic: str, raw: Any) -> int | None:
        """The stamp (ns) of the colour image that this message completes a frame of, if it does."""
        if topic not in self._streams:
            return None
        stamp = _stamp_in(raw)
        pair = self._pairs.add(self._streams[topic], stamp, stamp)
        return None if pair is None else int(pair[0])


def _stamp_in(raw: Any) -> int:
    """Stamp (ns) of a serialised message that begins with a header."""
    seconds, nanoseconds = _STAMP.unpack_from(raw, 4)
    return int(seconds * 1_000_000_000 + nanoseconds)


def _result_of(stamp: int, raw: bytes) -> FrameResult:
    message = deserialize_message(raw, TrackedObjectArray)
    objects = [from_tracked_object(thing) for thing in message.objects]
    return FrameResult(stamp, objects, {"total": float(message.processing_time)})


class NodeSession:
    """Talks to a tracker node in another process. A context manager; not safe to share between threads.

    Args:
        process: the node's process.
        log: file its output goes to, quoted where it ends early.

    Raises:
        ConfigError: another tracker node answers already in this ROS domain.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("pose_tracking_session", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._answers = Answers()
        self._taken: dict[int, bytes] = {}  # messages by stamp: they are read when no frame waits for it
        self._reports = 0
        self._known: dict[str, int] = {}  # publishers of each topic that the node knows of
        self._node.create_subscription(TrackedObjectArray, f"{NODE}/objects", self._take, 100, raw=True)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)

    def __enter__(self) -> NodeSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def play(self, bag_path: Path, topics: Topics, rate: float, on_frame: Callable[[], object]) -> Answers:
        """Publish a bag's topics and collect the answers.

        Args:
            bag_path: the bag.
            topics: those of the camera.
            rate: speed, 1 is real time; 0: each frame waits for the answer to the one before, so that a slow machine
                misses none.
            on_frame: called after each frame.

        Raises:
            DatasetError: the bag cannot be read.
            NodeEnded: the node has ended.
        """
        self._answers = answers = Answers()
        self._taken = {}
        pairs = _StampPairs(topics)
        last: int | None = None
        with open_bag(bag_path) as bag:
            player = BagPlayer(self._node, bag_path, bag, rate, reliable=True, sleep_until=self._spin_until)
            self._wait_active(player, [topics.color, topics.depth, topics.info])
            for topic, raw in player.play():
                stamp = pairs.add(topic, raw)
                if stamp is not None:
                    answers.frames += 1
                    last = stamp
                    if rate == 0:
                        self._wait_answer(stamp)
                    on_frame()
            if last is not None and rate > 0:
                self._wait_last(last)
        reports = self._reports
        self._spin(lambda: self._reports >= reports + 2, 5.0)  # the counters up to the last frame
        answers.results = {stamp: _result_of(stamp, raw) for stamp, raw in self._taken.items()}
        return answers

    def _wait_active(self, player: BagPlayer, topics: list[str]) -> None:
        def joined() -> bool:
            heard = self._node.count_publishers(f"{NODE}/objects")
            if heard > 1:
                raise ConfigError(
                    "another tracker node runs in this ROS domain: stop it, or set ROS_DOMAIN_ID to a number of its own"
                )
            return heard == 1 and not player.unheard(topics)

        if not self._spin(joined, START_SECONDS):
            raise NodeEnded(f"the tracker node did not become active within {START_SECONDS:.0f} s; see {self._log}")
        # We know of its subscriptions; until it knows of our publishers, what they send is lost.
        if not self._spin(lambda: all(self._known.get(topic, 0) for topic in topics), START_SECONDS):
            raise NodeEnded(f"the tracker node did not notice the bag within {START_SECONDS:.0f} s; see {self._log}")

    def _wait_answer(self, stamp: int) -> None:
        dropped = sum(self._answers.drops.values())
        self._spin(lambda: stamp in self._taken or sum(self._answers.drops.values()) > dropped, ANSWER_SECONDS)

    def _wait_last(self, stamp: int) -> None:
        """Wait for the answer to the last frame, before which all others have come, or until all is accounted for."""
        answers = self._answers
        self._spin(
            lambda: stamp in self._taken or len(self._taken) + sum(answers.drops.values()) >= answers.frames,
            ANSWER_SECONDS,
        )

    def _take(self, raw: bytes) -> None:
        self._taken[_stamp_in(raw)] = raw

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{NODE[1:]}: tracking":
                counts = [int(value.value) for value in status.values if value.key == "frames_hurried"]
                self._answers.hurried = sum(counts)
            if status.name == f"{NODE[1:]}: inputs":
                values = {value.key: value.value for value in status.values}
                topics = [key for key in values if key.startswith("publishers.")]
                self._known = {key.removeprefix("publishers."): int(values[key]) for key in topics}
            if status.name == f"{NODE[1:]}: drops":
                self._reports += 1
                self._answers.drops = {
                    value.key.removeprefix("dropped."): int(value.value)
                    for value in status.values
                    if value.key.startswith("dropped.") and not value.key.endswith(".last")
                }

    def _spin_until(self, moment: float) -> None:
        spin_until_moment(self._executor, moment, self._check)

    def _spin(self, until: Callable[[], bool], timeout: float) -> bool:
        return spin_until(self._executor, until, timeout, self._check)

    def _check(self) -> None:
        if self._process.poll() is not None:
            raise NodeEnded(f"the tracker node has ended: {last_error(self._log)}")


def last_error(log: Path) -> str:
    """The last error line of a node's log, or where to look for it."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "error" in line.lower()]
    return lines[-1] if lines else f"see {log}"
