"""The gallery node as a process: from the command line to its exit status."""

from __future__ import annotations

import signal
import sys

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from pose_tracking.core.errors import PoseTrackingError

from .node import GalleryNode


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; non-zero where it cannot start or could not write everything."""
    # rclpy shuts its context down on either signal, and spin() ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        rclpy.init(args=args)
    except RuntimeError as error:
        print(f"gallery_node: error: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    node = None
    done = True
    try:
        node = GalleryNode()
        _spin(node)
    except PoseTrackingError as error:
        print(f"gallery_node: error: {error}", file=sys.stderr)
        return 2
    except ExternalShutdownException:
        pass
    except Exception:
        if rclpy.ok():  # a signal shuts the context down under whatever callback is running
            raise
    finally:
        if node is not None:
            done = node.close()
        rclpy.try_shutdown()
    return 0 if done else 1


def _spin(node: GalleryNode) -> None:
    """Serve the node until it is told to end; what a callback raises costs that message alone."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    said: set[str] = set()
    while rclpy.ok():
        try:
            executor.spin()
        except ExternalShutdownException:
            raise
        except Exception as error:
            if not rclpy.ok():
                raise
            if type(error).__name__ not in said:
                said.add(type(error).__name__)
                node.get_logger().error(f"a message was refused by an error ({error!r}); the node goes on")


if __name__ == "__main__":
    sys.exit(main())
