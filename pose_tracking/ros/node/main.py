"""The node as a process: from the command line to its exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import TransitionCallbackReturn

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.threads import take_turns, wait_passively

from .dds_profile import use_image_profile
from .loading import load_tracker
from .serving import serve
from .tracker_node import SUCCESS, TrackerNode

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker


def main(args: list[str] | None = None, make_tracker: Callable[[Mapping[str, Any]], PoseTracker] = load_tracker) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown; non-zero where it cannot start."""
    wait_passively()
    take_turns()  # messages are taken beside inference, at the camera's rate
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
        serve(node, node.callback_failed)
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
