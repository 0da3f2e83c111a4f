"""The lifecycle node ``tracker``: a camera's topics in, tracked objects out."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from pose_tracking.core.errors import FrameError, PoseTrackingError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.transform_tree import TransformUnavailable
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.messages.frames import FrameDecoder
from pose_tracking.ros.messages.tf import open_transforms, wait_for_transform
from pose_tracking.ros.messages.transforms import in_frame

from .dds_profile import use_image_profile
from .diagnostics import diagnostic_array, silence_cause
from .inputs import CameraInputs, FrameMessages
from .monitor import Monitor
from .node_parameters import NodeParameters
from .outputs import Outputs
from .parameters import PARAMETERS
from .worker import LatestWorker

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
STOP_SECONDS = 10.0


def load_tracker(model: str, objects: str, device: str) -> PoseTracker:
    """The pipeline of a model bundle; imports PyTorch only now, so that a node that is not configured is light."""
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.pipeline import PoseTracker

    return PoseTracker(ModelBundle.load(model, objects or None), device)


@dataclass(frozen=True)
class Job:
    """A frame on its way through the node; `taken` is the monotonic time when its last image came."""

    messages: FrameMessages
    taken: float


class TrackerNode(LifecycleNode):
    """Tracks known objects in the images of one RGB-D camera.

    The executor's thread only pairs messages and answers services; decoding, inference and publishing happen in a
    worker thread that always takes the newest frame.

    Args:
        make_tracker: builds the pipeline from the parameters model, objects and device.
        node_arguments: passed on to rclpy's node.

    Raises:
        ConfigError: a parameter given at the start is of the wrong type or out of range.
    """

    def __init__(
        self, make_tracker: Callable[[str, str, str], PoseTracker] = load_tracker, **node_arguments: Any
    ) -> None:
        super().__init__("tracker", **node_arguments)
        self._make_tracker = make_tracker
        self._phase = "unconfigured"
        self._enabled = True
        self._tracker: PoseTracker | None = None
        self._inputs: CameraInputs | None = None
        self._outputs: Outputs | None = None
        self._worker: LatestWorker[Job] | None = None
        self._transforms: Any = None
        self._decoder = FrameDecoder()
        self._notes: list[str] = []
        self._silent: dict[str, str] = {}
        self._monitor = Monitor()
        self._settings = NodeParameters(self, lambda: self._phase != "unconfigured", self._change)
        self._chosen = self._settings.values()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: diagnostics must come in simulated time, too, when that stands still.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_timer = self.create_timer(1.0, self._publish_diagnostics, clock=self._steady_clock)
        self.create_service(SetBool, "~/enable", self._set_enabled)
        self.create_service(Trigger, "~/reset_tracks", self._reset_tracks)

    @property
    def autostart(self) -> bool:
        """Whether the node is to configure and activate itself."""
        return bool(self._settings["autostart"])

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model bundle and create the publishers."""
        self._chosen = values = self._settings.values()
        started = time.monotonic()
        try:
            tracker = self._make_tracker(values["model"], values["objects"], values["device"])
            tracker.set_classes(values["classes"])
            tracker.configure(**self._settings.explicit_options())
            self._settings.adopt({name: tracker.option(name) for name in tracker.RUNTIME_OPTIONS})
            if values["output_frame"] or values["fixed_frame"]:
                self._transforms = open_transforms(self)
            self._decoder = FrameDecoder(values["rectified"])
            self._outputs = Outputs(self, tracker.objects, values)
        except (PoseTrackingError, OSError) as error:
            self.get_logger().error(f"cannot configure: {error}")
            self._release()
            return FAILURE
        except Exception as error:
            self.get_logger().error(f"cannot configure: {error!r}\n{traceback.format_exc()}")
            self._release()
            return FAILURE
        self._notes = []
        if not tracker.objects.has_meshes:
            self._notes.append("no meshes: poses are not checked against the depth image and markers are boxes")
            self.get_logger().warning(f"{self._notes[0]}; give their folder with objects:=PATH")
        self._tracker = tracker
        self._monitor = Monitor()
        self._worker = LatestWorker(self._process, self._overtaken, self._worker_failed)
        self._phase = "inactive"
        names = ", ".join(model.name for model in tracker.objects.values())
        self.get_logger().info(f"model {values['model']!r} ready in {time.monotonic() - started:.1f} s: {names}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera."""
        result = super().on_activate(state)
        self._silent = {}
        self._phase = "active"
        self._inputs = CameraInputs(
            self, self._chosen, self._monitor, self._take, self._drop, on_jump_back=self._time_went_back
        )
        topics = ", ".join(endpoint.topic for endpoint in self._inputs.endpoints)
        self.get_logger().info(f"active; listening to {topics}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe; the frame in the works, if any, is not published."""
        self._phase = "inactive"
        self._unsubscribe()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of model and publishers."""
        self._release()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        self._release()
        self._phase = "finalized"
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured."""
        self._release()
        return SUCCESS

    def close(self) -> None:
        """Stop the worker and let go of everything; the node cannot be used any more."""
        self._release()
        self.destroy_node()

    def _unsubscribe(self) -> None:
        self._silent = {}
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._worker is not None:
            self._worker.clear()

    def _release(self) -> None:
        self._phase = "unconfigured"
        self._unsubscribe()
        if self._worker is not None and not self._worker.stop(STOP_SECONDS):
            self.get_logger().warning(f"inference did not end within {STOP_SECONDS:.0f} s")
        if self._outputs is not None:
            self._outputs.close()
        if self._transforms is not None:
            self._transforms.close()
        self._worker = self._outputs = self._transforms = self._tracker = None
        self._monitor.watch([])
        self._notes = []

    # In the executor's thread

    def _take(self, messages: FrameMessages) -> None:
        if not self._enabled:
            self._monitor.dropped("disabled")
        elif self._worker is not None:
            self._worker.put(Job(messages, time.monotonic()))

    def _overtaken(self, job: Job) -> None:
        self._monitor.dropped("overtaken", "a newer frame came before inference was free")

    def _drop(self, reason: str, detail: str, kind: str = "") -> None:
        if self._monitor.dropped(reason, detail, kind):
            self.get_logger().warning(f"dropped ({reason}): {detail}; further ones are counted in /diagnostics")

    def _time_went_back(self) -> None:
        self.get_logger().warning("stamps have gone back (a bag that loops?): tracks are reset")
        self._request_reset()

    def _request_reset(self) -> None:
        if self._worker is not None:
            if self._worker.clear() is not None:
                self._monitor.dropped("overtaken", "tracks were reset")
            self._worker.call(self._reset)

    def _change(self, changes: dict[str, Any]) -> None:
        tracker, worker = self._tracker, self._worker
        if tracker is None or worker is None:
            return
        if "classes" in changes:
            tracker.objects.ids_of(changes["classes"])  # refused here rather than in the worker
            worker.call(lambda: tracker.set_classes(changes["classes"]))
        options = {option: value for name, value in changes.items() if (option := PARAMETERS[name].option)}
        if options:
            worker.call(lambda: tracker.configure(**options))

    def _set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        if not self._enabled and self._worker is not None and self._worker.clear() is not None:
            self._monitor.dropped("disabled")
        response.success = True
        response.message = "enabled" if self._enabled else "disabled"
        return response

    def _reset_tracks(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._worker is not None
        response.message = "tracks are reset before the next frame" if response.success else "not configured"
        self._request_reset()
        return response

    def _publish_diagnostics(self) -> None:
        snapshot = self._monitor.snapshot()
        silent: dict[str, str] = {}
        for endpoint in self._inputs.endpoints if self._inputs is not None else ():
            silence = snapshot.silence.get(endpoint.topic, 0.0)
            if silence > self._chosen["silence_warning"]:
                silent[endpoint.topic] = f"no message for {silence:.0f} s; {silence_cause(self, endpoint)}"
                if endpoint.topic not in self._silent:
                    self.get_logger().warning(f"{endpoint.topic} is silent: {silent[endpoint.topic]}")
        for topic in self._silent.keys() - silent.keys():
            self.get_logger().info(f"{topic} is alive")
        self._silent = silent
        state = "disabled" if self._phase == "active" and not self._enabled else self._phase
        header = make_header(self.get_clock().now().nanoseconds, "")
        self._diagnostics.publish(diagnostic_array(header, self.get_name(), state, snapshot, silent, self._notes))

    # In the worker's thread

    def _process(self, job: Job) -> None:
        tracker, outputs = self._tracker, self._outputs
        if tracker is None or outputs is None:
            return
        started = time.monotonic()
        try:
            frame = self._decoder.decode(job.messages.color, job.messages.depth, job.messages.camera_info)
            frame = self._with_camera_pose(frame)
            decoded = time.monotonic()
            tracked = tracker.update(frame)
            updated = time.monotonic()
            frame_id, placed = self._placed(frame, tracked)
        except FrameError as error:
            self._drop(error.reason, str(error))
            return
        except TransformUnavailable as error:
            self._drop("no_transform", str(error))
            return
        if self._phase != "active":
            self._monitor.dropped("deactivated")
            return
        outputs.publish(frame, tracked, placed, frame_id, time.monotonic() - job.taken)
        done = time.monotonic()
        stages = dict(tracker.report.seconds)
        stages.update(
            waiting=started - job.taken, decoding=decoded - started, publishing=done - updated, frame=done - job.taken
        )
        report = tracker.report
        carrying = {"frames_segmented": int(report.segmented), "tracks_recovered": report.carried}
        carrying |= {f"tracks_not_found.{reason}": count for reason, count in report.lost.items()}
        self._monitor.processed(stages, report.rejected, carrying)

    def _with_camera_pose(self, frame: RGBDFrame) -> RGBDFrame:
        fixed = self._chosen["fixed_frame"]
        if not fixed:
            return frame
        pose = wait_for_transform(self._transforms, fixed, frame.frame_id, frame.stamp_ns, self._chosen["tf_timeout"])
        return replace(frame, camera_pose=pose)

    def _placed(self, frame: RGBDFrame, tracked: list[Any]) -> tuple[str, list[Any]]:
        target = self._chosen["output_frame"]
        if not target or target == frame.frame_id:
            return frame.frame_id, tracked
        transform = wait_for_transform(
            self._transforms, target, frame.frame_id, frame.stamp_ns, self._chosen["tf_timeout"]
        )
        return target, [in_frame(thing, transform) for thing in tracked]

    def _reset(self) -> None:
        if self._tracker is not None and self._outputs is not None:
            self._tracker.reset()
            if self._phase == "active":
                self._outputs.clear(self.get_clock().now().nanoseconds, self._chosen["output_frame"])

    def _worker_failed(self, error: Exception) -> None:
        where = traceback.extract_tb(error.__traceback__)
        place = f"{os.path.basename(where[-1].filename)}:{where[-1].lineno}" if where else ""
        kind = f"{type(error).__name__} {place}"
        if self._monitor.dropped("internal_error", f"{error!r} at {place}", kind):
            trace = "".join(traceback.format_exception(error))
            self.get_logger().error(f"a frame was dropped by an error of ours; the node goes on\n{trace}")


def main(args: list[str] | None = None, make_tracker: Callable[[str, str, str], PoseTracker] = load_tracker) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown; non-zero where it cannot start."""
    use_image_profile()
    # rclpy shuts its context down on either signal, and spin() ends. A KeyboardInterrupt on top of that could strike
    # during clean-up: a terminal's Ctrl-C and ros2 launch each send a SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        rclpy.init(args=args)
    except RuntimeError as error:
        print(f"tracker_node: error: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    node = None
    try:
        node = TrackerNode(make_tracker)
        if node.autostart and not (_started(node.trigger_configure) and _started(node.trigger_activate)):
            return 1 if rclpy.ok() else 0
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except PoseTrackingError as error:
        print(f"tracker_node: error: {error}", file=sys.stderr)
        return 2
    except ExternalShutdownException:
        pass
    except Exception:
        # A signal shuts the context down under whatever callback is running: what that raises then is no failure.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.close()
        rclpy.try_shutdown()
    return 0


def _started(trigger: Callable[[], TransitionCallbackReturn]) -> bool:
    return rclpy.ok() and trigger() == SUCCESS


if __name__ == "__main__":
    sys.exit(main())
