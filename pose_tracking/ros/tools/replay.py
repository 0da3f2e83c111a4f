"""Publishing a bag for whoever listens: `pose-tracking replay`."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import rclpy

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.bag.reader import open_bag
from pose_tracking.ros.node.dds_profile import use_image_profile

from .player import BagPlayer

# Best-effort subscribers acknowledge nothing: seconds they have to take the last message.
LINGER = 1.0


@dataclass(frozen=True)
class ReplayOptions:
    """How to play a bag.

    Attributes:
        rate: speed, 1 is real time.
        loop: play again and again; stamps start anew each time.
        clock: publish ``/clock`` at 100 Hz of recorded time.
        start_delay: pause before the first message, seconds.
        wait_for_subscribers: longest wait for a subscriber to each camera topic, seconds; 0 does not wait.
    """

    rate: float = 1.0
    loop: bool = False
    clock: bool = False
    start_delay: float = 0.0
    wait_for_subscribers: float = 0.0


def replay(path: str | Path, options: ReplayOptions | None = None) -> int:
    """Publish the bag at `path` until it ends or the process is told to stop.

    Returns:
        Number of messages published.

    Raises:
        DatasetError: the bag is missing, damaged, empty, or has images but no camera_info; or no subscriber came.
    """
    path, options = Path(path), options or ReplayOptions()
    with open_bag(path) as bag:
        use_image_profile()
        # rclpy ends its context on SIGINT; a KeyboardInterrupt on top could strike while it cleans up.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        rclpy.init()
        try:
            player = BagPlayer(rclpy.create_node("replay"), path, bag, options.rate, options.clock)
            if options.wait_for_subscribers > 0:
                _wait_for_subscribers(player, path, options.wait_for_subscribers)
            player.sleep_until(time.monotonic() + options.start_delay)
            count = sum(1 for _ in player.play())
            while options.loop and rclpy.ok():
                count += sum(1 for _ in player.play())
            player.flush(LINGER)
            return count
        finally:
            rclpy.try_shutdown()
            signal.signal(signal.SIGINT, previous)


def _wait_for_subscribers(player: BagPlayer, path: Path, limit: float) -> None:
    """Wait until each topic of the camera has a subscriber, at most `limit` seconds."""
    deadline = time.monotonic() + limit
    while rclpy.ok() and (silent := player.unheard(player.camera_topics)):
        if time.monotonic() > deadline:
            raise DatasetError(f"{path}: nobody subscribed to {', '.join(silent)} within {limit:g} s")
        time.sleep(0.05)
