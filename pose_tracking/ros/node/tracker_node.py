"""The lifecycle node ``tracker``: a camera's topics in, tracked objects out."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.datasets.bag.messages import stamp_of
from pose_tracking.ros.messages.tf import open_transforms

from .diagnostics import DiagnosticsReporter
from .frame_processor import OVERTAKEN, FrameProcessor, Job
from .inputs import CameraInputs, FrameMessages
from .loading import load_tracker
from .monitor import Monitor
from .node_parameters import NodeParameters
from .outputs import Outputs
from .parameters import PARAMETERS
from .throughput import CameraRate
from .worker import LatestWorker

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
STOP_SECONDS = 10.0


class TrackerNode(LifecycleNode):
    """Tracks known objects in the images of one RGB-D camera.

    The executor's thread pairs messages, decodes those that the detector may look at ahead of their turn, and answers
    services; inference and publishing happen in a worker thread that takes the newest frames.

    Args:
        make_tracker: builds the pipeline from the values of the parameters, see `load_tracker`.
        node_arguments: passed on to rclpy's node.

    Raises:
        ConfigError: a parameter given at the start is of the wrong type or out of range.
    """

    def __init__(
        self, make_tracker: Callable[[Mapping[str, Any]], PoseTracker] = load_tracker, **node_arguments: Any
    ) -> None:
        super().__init__("tracker", **node_arguments)
        self._make_tracker = make_tracker
        self._phase = "unconfigured"
        self._enabled = True
        self._tracker: PoseTracker | None = None
        self._processor: FrameProcessor | None = None
        self._inputs: CameraInputs | None = None
        self._outputs: Outputs | None = None
        self._worker: LatestWorker[Job] | None = None
        self._transforms: Any = None
        self._rate = CameraRate()
        self._notes: list[str] = []
        self._engines: dict[str, str] = {}
        self._monitor = Monitor()
        self._settings = NodeParameters(self, lambda: self._phase != "unconfigured", self._change)
        self._chosen = self._settings.values()
        self._diagnostics = DiagnosticsReporter(self)
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
            unstated = {"engine", "precision"} - self._settings.explicit
            tracker = self._make_tracker({**values, **dict.fromkeys(unstated)})
            tracker.set_classes(values["classes"])
            tracker.configure(**self._settings.explicit_options())
            self._settings.adopt({name: tracker.option(name) for name in tracker.RUNTIME_OPTIONS})
            if values["output_frame"] or values["fixed_frame"]:
                self._transforms = open_transforms(self)
            self._outputs = Outputs(self, tracker, values)
        except (PoseTrackingError, OSError) as error:
            self.get_logger().error(f"cannot configure: {error}")
            self._release()
            return FAILURE
        except Exception as error:
            if self.context.ok():  # a signal shuts it down under what loads, which is no fault
                self.get_logger().error(f"cannot configure: {error!r}\n{traceback.format_exc()}")
            self._release()
            return FAILURE
        self._notes = []
        if not tracker.objects.with_shape.has_meshes:  # of other objects there are none to be had
            self._notes.append("no meshes: poses are not checked against the depth image and markers are boxes")
            self.get_logger().warning(f"{self._notes[0]}; give their folder with objects:=PATH")
        self._tracker = tracker
        self._monitor = Monitor()
        self._processor = FrameProcessor(
            tracker,
            self._outputs,
            self._transforms,
            values,
            self._monitor,
            is_active=lambda: self._phase == "active",
            on_drop=self._drop,
            on_time_set_back=self._time_went_back,
            now_ns=lambda: self.get_clock().now().nanoseconds,
        )
        look_ahead = self._processor.look_ahead if values["look_ahead"] else None
        self._worker = LatestWorker(
            self._processor.process,
            self._overtaken,
            self._worker_failed,
            look_ahead,
            self._processor.hurry if values["follow_overtaken"] else None,
            most_waiting=values["max_waiting"],
        )
        self._phase = "inactive"
        names, seconds = ", ".join(model.name for model in tracker.objects.values()), time.monotonic() - started
        self.get_logger().info(f"model {values['model']!r} ready in {seconds:.1f} s: {names}")
        self._engines = tracker.engines
        self.get_logger().info(", ".join(f"{stage} runs on {engine}" for stage, engine in self._engines.items()))
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the camera."""
        result = super().on_activate(state)
        self._diagnostics.forget()
        self._phase = "active"
        self._inputs = CameraInputs(self, self._chosen, self._monitor, self._take, self._drop, self._time_jumped)
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

    def callback_failed(self, error: Exception) -> None:
        """Count and log, once each, what a callback in the executor's thread has raised."""
        kind = _kind_of(error)
        if self._monitor.counted("failed_callbacks", kind):
            trace = "".join(traceback.format_exception(error))
            self.get_logger().error(f"a message or a request was refused by an error; the node goes on\n{trace}")

    def close(self) -> None:
        """Stop the worker and let go of everything; the node cannot be used any more."""
        self._release()
        self.destroy_node()

    def _unsubscribe(self) -> None:
        self._diagnostics.forget()
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
        self._worker = self._processor = self._outputs = self._transforms = self._tracker = None
        self._monitor.watch([])
        self._notes, self._engines = [], {}

    # In the executor's thread

    def _take(self, messages: FrameMessages) -> None:
        if not self._enabled:
            self._monitor.dropped("disabled")
        elif self._worker is not None:
            now = time.monotonic()
            self._worker.put(Job(messages, now, self._rate.interval(stamp_of(messages.color) * 1e-9, now)))

    def _overtaken(self, job: Job) -> None:
        self._monitor.dropped("overtaken", OVERTAKEN)

    def _drop(self, reason: str, detail: str, kind: str = "") -> None:
        if self._monitor.dropped(reason, detail, kind):
            self.get_logger().warning(f"dropped ({reason}): {detail}; further ones are counted in /diagnostics")

    def _time_jumped(self, jump_ns: int) -> None:
        if jump_ns < 0:
            self._time_went_back()
            self._request_reset()
        else:
            text = f"stamps have gone forward by {jump_ns * 1e-9:.0f} s (a pause, or a clock that was set?)"
            self._say_once("time_jumps.forward", text)

    def _time_went_back(self) -> None:
        if self._transforms is not None:
            self._transforms.time_set_back()
        self._say_once(
            "time_jumps.back", "stamps have gone back (a bag that loops, or a clock that was set?): tracks are reset"
        )

    def _say_once(self, event: str, text: str) -> None:
        if self._monitor.counted(event):
            self.get_logger().warning(f"{text}; further times are counted in /diagnostics")

    def _request_reset(self) -> None:
        worker, processor, now = self._worker, self._processor, self.get_clock().now().nanoseconds
        if worker is not None and processor is not None:
            for _ in worker.clear():
                self._monitor.dropped("overtaken", "tracks were reset")
            worker.call(lambda: processor.reset(now))

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
        for _ in self._worker.clear() if self._worker is not None and not self._enabled else ():
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
        endpoints = self._inputs.endpoints if self._inputs is not None else []
        state = "disabled" if self._phase == "active" and not self._enabled else self._phase
        self._diagnostics.report(
            state, self._monitor.snapshot(), endpoints, self._chosen["silence_warning"], self._notes, self._engines
        )

    # In the worker's thread

    def _worker_failed(self, error: Exception) -> None:
        if self._monitor.dropped("internal_error", f"{error!r} at {_place_of(error)}", _kind_of(error)):
            trace = "".join(traceback.format_exception(error))
            self.get_logger().error(
                f"a frame was dropped, or a request not done, by an error of ours; the node goes on\n{trace}"
            )


def _place_of(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(where[-1].filename)}:{where[-1].lineno}" if where else ""


def _kind_of(error: Exception) -> str:
    return f"{type(error).__name__} {_place_of(error)}"
