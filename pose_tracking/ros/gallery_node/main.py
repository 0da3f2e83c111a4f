"""The gallery node as a process: from the command line to its exit status."""

from __future__ import annotations

import signal
import sys

import rclpy
from rclpy.executors import ExternalShutdownException

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.ros.node.serving import serve

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
        serve(node, node.callback_failed)
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


if __name__ == "__main__":
    sys.exit(main())
