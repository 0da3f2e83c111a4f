"""The node ``gallery``: tracks and crops of any number of trackers in, sightings in a store out.

It sees no images and runs no networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import QoSProfile

from pose_tracking.core.errors import ConfigError, PoseTrackingError
from pose_tracking.gallery.collector import CollectorConfig
from pose_tracking.gallery.live_writer import LiveStoreConfig, LiveWriter
from pose_tracking.gallery.sighting import Sighting
from pose_tracking.gallery.stores import open_store
from pose_tracking.msg import TrackCropArray, TrackedObjectArray, TrackEventArray
from pose_tracking.ros.messages.tf import open_transforms
from pose_tracking.ros.node.node_parameters import descriptor

from .diagnostics import GalleryDiagnostics
from .parameters import GALLERY_PARAMETERS, Source, places_of, source_of_topic, sources_of
from .worker import GalleryWorker, WorkerSettings

STOP_SECONDS = 60.0
QUEUE = QoSProfile(depth=100)
OBJECTS_TYPE = "pose_tracking/msg/TrackedObjectArray"


class GalleryNode(Node):
    """Keeps what trackers see.

    Args:
        node_arguments: passed on to rclpy's node.

    Raises:
        ConfigError: a parameter is of the wrong type or out of range, or names a file that cannot be read.
        StoreError: the store cannot be opened.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("gallery", **node_arguments)
        values = self._values = {name: self._declared(name) for name in GALLERY_PARAMETERS}
        named = sources_of(values["cameras"])
        places = places_of(values["camera_poses"])
        self._discovers = not named
        self.sources: list[Source] = []
        self._refused: set[str] = set()
        self._transforms: Any = None
        if values["map_frame"]:
            try:
                self._transforms = open_transforms(self)
            except ConfigError as error:
                self.get_logger().warning(f"no TF: {error}; only camera_poses say where cameras are")
        self._store = open_store(values["store"], make=True)
        store_config = LiveStoreConfig(*(values[name] for name in ("link_every", "retention_days",
                                                                    "retention_megabytes", "pending")))  # fmt: skip
        collector = CollectorConfig(crops=values["crops"], longest=values["longest"], gone_after=values["gone_after"])
        settings = WorkerSettings(
            values["map_frame"],
            places,
            values["tf_timeout"],
            values["silence_warning"],
            values["live_period"],
            collector,
        )
        self.worker = GalleryWorker(
            LiveWriter(self._store, store_config, settings={"model": values["model"]}, on_kept=self._kept),
            settings,
            self._transforms,
            self._log,
        )
        for source in named:
            self._listen(source)
        self._diagnostics = GalleryDiagnostics(self, values["silence_warning"])
        # A steady clock: cameras are found and diagnostics come in simulated time, too, when that stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._every_second, clock=self._steady)
        self.worker.start()
        self._failures: set[str] = set()  # kinds of what callbacks have raised
        self.get_logger().info(f"keeps sightings in {values['store']}")

    def callback_failed(self, error: Exception) -> None:
        """Log, once of a kind, what a callback in the executor's thread has raised."""
        if type(error).__name__ not in self._failures:
            self._failures.add(type(error).__name__)
            self.get_logger().error(f"a message was refused by an error ({error!r}); the node goes on")

    def close(self) -> bool:
        """Write what goes on and let go of everything; whether all was written in time."""
        done = self.worker.stop(STOP_SECONDS)
        if done:
            self._store.close()
        else:
            self.get_logger().error(f"the store did not take all sightings within {STOP_SECONDS:.0f} s")
        if self._transforms is not None:
            self._transforms.close()
        self.destroy_node()
        return done

    def _declared(self, name: str) -> Any:
        parameter = GALLERY_PARAMETERS[name]
        probe = self.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True))
        given = probe.type_ != RosParameter.Type.NOT_SET
        value = parameter.coerce(_plain(probe)) if given else parameter.default
        self.undeclare_parameter(name)
        # rclpy takes an empty list for bytes.
        shown = (list(value) or [""]) if isinstance(value, tuple) else value
        self.declare_parameter(name, shown, descriptor(parameter), ignore_override=True)
        return value

    def _listen(self, source: Source) -> None:
        for known in self.sources:
            if known.camera == source.camera:
                self._refuse(source.objects, f"camera {source.camera!r} is {known.node} already: two cameras need "
                             "two names: name them with the parameter cameras")  # fmt: skip
                return
        self.sources.append(source)
        for kind, topic in (
            (TrackedObjectArray, source.objects),
            (TrackEventArray, f"{source.node}/events"),
            (TrackCropArray, f"{source.node}/crops"),
        ):
            self.create_subscription(kind, topic, lambda m, c=source.camera: self.worker.put(c, m), QUEUE)
        self.worker.camera(source.camera)
        self.get_logger().info(f"camera {source.camera}: listening to {source.node}")

    def _every_second(self) -> None:
        if self._discovers:
            self._discover(self.get_topic_names_and_types())
        self._diagnostics.report(self.sources, self.worker)

    def _discover(self, topics: Sequence[tuple[str, Sequence[str]]]) -> None:
        known = {source.objects for source in self.sources} | self._refused
        for topic, kinds in topics:
            # A reader of its own makes a topic appear, too: somebody has to speak on it.
            if OBJECTS_TYPE not in kinds or topic in known or not self.count_publishers(topic):
                continue
            try:
                source = source_of_topic(topic)
            except PoseTrackingError as error:
                self._refuse(topic, str(error))
                continue
            if source is None:
                self._refused.add(topic)  # a ground truth, or another name
            else:
                self._listen(source)

    def _refuse(self, topic: str, why: str) -> None:
        self._refused.add(topic)
        self.get_logger().warning(f"{topic} is not listened to: {why}")

    def _kept(self, number: int, sighting: Sighting) -> None:
        seconds = (sighting.end_ns - sighting.start_ns) * 1e-9
        self._log("info", f"sighting {number}: {sighting.class_name} by {sighting.camera} for {seconds:.1f} s, kept")

    def _log(self, level: str, text: str) -> None:
        # rclpy wants a line of its own for each severity.
        if level == "error":
            self.get_logger().error(text)
        elif level == "warning":
            self.get_logger().warning(text)
        else:
            self.get_logger().info(text)


def _plain(parameter: RosParameter) -> Any:
    return list(parameter.value) if parameter.type_ == RosParameter.Type.STRING_ARRAY else parameter.value
