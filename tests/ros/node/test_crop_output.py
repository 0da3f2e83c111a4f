"""Crops are made beside the frames: what they take must not hold the tracker up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
from ball_gallery import MeanColor
from pose_tracking.msg import TrackCropArray

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.gallery.embedding import CropEmbedder
from pose_tracking.ros.node.crop_output import CropOutput


class SlowColor(MeanColor):
    """An embedder that is built, and describes, when the gates are opened; it may fail."""

    def __init__(self) -> None:
        self.build, self.describe = threading.Event(), threading.Event()
        self.threads: set[int] = set()
        self.failures = 0

    def of(self, tracker: object) -> SlowColor:
        self.threads.add(threading.get_ident())
        assert self.build.wait(20)
        return self

    def embed(self, crops: Sequence[UInt8], colors: object = None) -> Float32:
        self.threads.add(threading.get_ident())
        assert self.describe.wait(20)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("on request")
        return super().embed(crops, colors)


class Bench:
    """The output of a tracker of balls, with what came of it."""

    def __init__(self, embedder: SlowColor, period: float = 0.0) -> None:
        self.embedder, self.tracker = embedder, ball_scene.ball_tracker()
        self.messages: list[TrackCropArray] = []
        self.warnings: list[str] = []
        self.listeners = 1
        self.output = CropOutput(
            self.tracker, period, self.messages.append, lambda: self.listeners, self.warnings.append
        )
        self.frame = 0

    def show(self, count: int = 1) -> None:
        """Track and hand over frames."""
        for _ in range(count):
            frame = ball_scene.render(self.frame % 12, (self.frame + 1) * ball_scene.PERIOD_NS)
            self.output.add(frame, self.tracker.update(frame))
            self.frame += 1

    def show_until(self, condition: Callable[[], bool]) -> bool:
        """Show frames until something is so."""
        end = time.monotonic() + 20
        while not condition() and time.monotonic() < end:
            self.show()
            time.sleep(0.02)
        return condition()

    @property
    def tracks(self) -> set[int]:
        """Those that crops came of."""
        return {crop.track_id for message in self.messages for crop in message.crops}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    embedder = SlowColor()
    monkeypatch.setattr(CropEmbedder, "of", embedder.of)
    made = Bench(embedder)
    yield made
    embedder.build.set()
    embedder.describe.set()
    made.output.close()


def test_frames_go_on_while_the_embedder_is_built_and_while_it_describes(bench):
    bench.show(8)  # would hang in the first confirmed frame
    assert bench.messages == [] or not bench.tracks
    bench.embedder.build.set()
    bench.show(4)
    assert not bench.tracks
    bench.embedder.describe.set()
    assert bench.show_until(lambda: bench.tracks == {1, 2})
    assert threading.get_ident() not in bench.embedder.threads
    assert len(bench.embedder.threads) == 1
    assert all(len(crop.embedding) == 3 for message in bench.messages for crop in message.crops)
    assert bench.warnings == []


def test_of_the_frames_that_came_meanwhile_the_newest_is_described(bench):
    bench.show(6)
    time.sleep(0.3)  # the first frame with tracks is being described
    bench.show(19)
    bench.listeners = 2  # so that there is something to be said of each view again
    bench.show()
    newest = bench.frame * ball_scene.PERIOD_NS
    bench.embedder.build.set()
    bench.embedder.describe.set()
    stamps = lambda: [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in bench.messages]  # noqa: E731
    assert _waited(lambda: newest in stamps())
    assert len(stamps()) <= 3


def test_nobody_listens_nothing_is_made(bench):
    bench.listeners = 0
    bench.show(10)
    assert bench.embedder.threads == set()
    assert not any(thread.name == "crops" for thread in threading.enumerate())


def test_who_comes_later_gets_the_views_anew(bench):
    bench.embedder.build.set()
    bench.embedder.describe.set()
    assert bench.show_until(lambda: bench.tracks == {1, 2})
    before = len(bench.messages)
    bench.listeners = 2
    later = lambda: {c.track_id for m in bench.messages[before:] for c in m.crops}  # noqa: E731
    assert bench.show_until(lambda: later() == {1, 2})


def test_the_period_is_kept(bench):
    bench.embedder.build.set()
    bench.embedder.describe.set()
    slow = Bench(bench.embedder, period=3600.0)
    try:
        assert slow.show_until(lambda: len(slow.messages) == 1)
        slow.show(30)
        time.sleep(0.2)
        assert len(slow.messages) == 1
    finally:
        slow.output.close()


def test_crops_that_cannot_be_described_are_told_of_once_and_the_next_ones_come(bench):
    bench.embedder.build.set()
    bench.embedder.describe.set()
    bench.embedder.failures = 2
    assert bench.show_until(lambda: len(bench.tracks) > 0)
    assert len(bench.warnings) == 1
    assert "on request" in bench.warnings[0]


def test_nothing_is_published_once_it_is_closed(bench):
    bench.embedder.build.set()
    bench.show(6)
    time.sleep(0.3)
    threading.Timer(0.3, bench.embedder.describe.set).start()
    before = len(bench.messages)
    assert bench.output.close()
    assert len(bench.messages) == before
    assert not any(thread.name == "crops" for thread in threading.enumerate())


def _waited(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
