"""Serves a node until its process is told to end."""

from __future__ import annotations

from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


def serve(node: Node, failed: Callable[[Exception], None]) -> None:
    """Serve a node until it is told to end; what a callback raises costs that message or request alone.

    Not all callbacks are ours: rclpy's own raise on a ``/clock`` before 1970 or a parameter of a type that is none.

    Args:
        node: the node.
        failed: called with what a callback has raised.

    Raises:
        ExternalShutdownException: a signal has shut the context down; so may whatever a callback raises then.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while rclpy.ok():
        try:
            executor.spin()
        except ExternalShutdownException:
            raise
        except Exception as error:
            if not rclpy.ok():
                raise
            failed(error)
