"""A gallery node in a process of its own, and trackers that say what they are told, joined by real DDS topics."""

from __future__ import annotations

import array
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from node_harness import ROOT, own_domain
from pose_tracking.msg import TrackCropArray, TrackedObjectArray, TrackEvent, TrackEventArray
from rclpy.executors import SingleThreadedExecutor

from pose_tracking.core.results import TrackedObject
from pose_tracking.gallery.crop_selection import ChosenCrop
from pose_tracking.gallery.crops import cut_out
from pose_tracking.gallery.store import EmbeddingKind
from pose_tracking.ros.messages.conversions import make_header, tracked_object_array
from pose_tracking.ros.messages.crops import track_crop_array
from pose_tracking.ros.tools.process import start_node, stop_node

MODULE = "pose_tracking.ros.gallery_node.main"
KEPT = re.compile(r"sighting (\d+): (\S+) by (\S+) for .* kept")
KIND = EmbeddingKind("made up", 4, "0123", 0.2)
SECOND = 1_000_000_000


class FakeTracker:
    """Speaks as the tracker node of a camera."""

    def __init__(self, rig: GalleryRig, name: str) -> None:
        self._rig, self.name = rig, name
        self.objects = rig.node.create_publisher(TrackedObjectArray, f"/{name}/tracker/objects", 100)
        self.crops = rig.node.create_publisher(TrackCropArray, f"/{name}/tracker/crops", 100)
        self.events = rig.node.create_publisher(TrackEventArray, f"/{name}/tracker/events", 100)

    def wait(self) -> None:
        """Until the gallery listens."""
        assert self._rig.spin(lambda: self.objects.get_subscription_count() and self.crops.get_subscription_count(), 60)
        self._rig.spin(lambda: False, 0.5)

    def say(self, stamp: float, *things: TrackedObject, frame: str = "camera") -> None:
        """Publish what is tracked at a time (s)."""
        self.objects.publish(tracked_object_array(make_header(round(stamp * SECOND), frame), things, 0.01))

    def show(self, stamp: float, track: int, color: tuple[int, int, int] = (200, 0, 0), **about: Any) -> None:
        """Publish a crop of a track."""
        picture, mask = np.zeros((60, 60, 3), np.uint8), np.zeros((60, 60), bool)
        mask[10:50, 10:50] = True
        picture[mask] = color
        crop = cut_out(picture, mask, round(stamp * SECOND), np.eye(3))
        assert crop is not None
        vector = np.array([[*color, 1]], np.float32) / np.linalg.norm([*color, 1])
        header = make_header(round(stamp * SECOND), "camera")
        message = track_crop_array(header, [ChosenCrop(track, crop)], vector, about.get("kind", KIND))
        if about.get("damaged"):
            message.crops[0].image = array.array("B", b"RIFF....WEBPno picture")
        self.crops.publish(message)

    def tell(self, stamp: float, track: int, *kinds: str) -> None:
        """Publish that something happened to a track at a time (s)."""
        header = make_header(round(stamp * SECOND), "camera")
        events = [TrackEvent(kind=k, track_id=track, onset=header.stamp, end=header.stamp) for k in kinds]
        self.events.publish(TrackEventArray(header=header, events=events))

    def close(self) -> None:
        """Say nothing more."""
        for publisher in (self.objects, self.crops, self.events):
            self._rig.node.destroy_publisher(publisher)


class GalleryRig:
    """The node, and a node of the test's own.

    Args:
        store: file of the gallery.
        log: what the node prints goes there.
        parameters: of the node.
    """

    def __init__(self, store: Path, log: Path, **parameters: Any) -> None:
        self.domain, self._lock = own_domain()
        self.store, self.log = store, log
        self.parameters = {"store": str(store), "gone_after": 0.5, "link_every": 0.0, **parameters}
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.node = rclpy.create_node("test_trackers", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.diagnostics: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 50)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the node, anew where it was killed."""
        path = os.pathsep.join([str(ROOT), *sys.path[1:]])
        with self.log.open("ab") as output:
            self.process = start_node(
                self.parameters, module=MODULE, stdout=output, stderr=subprocess.STDOUT,
                environment={"PYTHONPATH": path, "ROS_DOMAIN_ID": str(self.domain)},
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End the node as Ctrl-C does; its exit status."""
        assert self.process is not None
        return stop_node(self.process, 60)

    def close(self) -> None:
        """End everything."""
        self.stop()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self._lock.close()

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self.diagnostics.update({status.name: status for status in message.status})

    def spin(self, until: Callable[[], Any], timeout: float = 30.0) -> bool:
        """Spin until a condition holds; whether it came to hold."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.02)
        return True

    @property
    def output(self) -> str:
        """What the node has printed."""
        return self.log.read_text(errors="replace")

    @property
    def kept(self) -> list[tuple[int, str, str]]:
        """Number, class and camera of the sightings that the node says it has kept."""
        return [(int(number), name, camera) for number, name, camera in KEPT.findall(self.output)]

    def values(self, name: str) -> dict[str, str]:
        """Values of the newest diagnostic status ``gallery: <name>``."""
        status = self.diagnostics.get(f"gallery: {name}")
        return {} if status is None else {v.key: v.value for v in status.values}
