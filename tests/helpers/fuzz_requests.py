"""Rubbish that a client or a broken clock may send to the node: requests to its services, and times on ``/clock``."""

from __future__ import annotations

from typing import Any

import numpy as np
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rosgraph_msgs.msg import Clock
from soak_rig import Rig

from pose_tracking.ros.node.parameters import PARAMETERS, RUNTIME

TIMES = ((0, 0), (-5, 0), (2**31 - 1, 4_000_000_000), (-(2**31), 0), (1, 4_294_967_295), (5, 0), (10**9, 0))
# What would rightly change how good frames are answered is left out.
NAMES = (
    "", "never_was", "model", "lambda", "qos_depth", "autostart", "device", "\ufffd", "x" * 5000,
    *(p.name for p in PARAMETERS.values() if p.change != RUNTIME),
)  # fmt: skip
STRINGS = ("", "x", "\ufffd", "x" * 5000, "no_such_class")


class Requests:
    """Sends requests that make no sense; none of them may end or stop the node.

    Args:
        rig: sends them.
        rng: draws them.
    """

    def __init__(self, rig: Rig, rng: np.random.Generator) -> None:
        self._rig, self._rng = rig, rng
        self.count = 0
        kinds = {
            "set_parameters": SetParameters,
            "get_parameters": GetParameters,
            "list_parameters": ListParameters,
            "describe_parameters": DescribeParameters,
            "change_state": ChangeState,
        }
        self._clients: dict[str, Any] = {
            name: rig.node.create_client(kind, f"/tracker/{name}") for name, kind in kinds.items()
        }

    def send(self, count: int) -> None:
        """Send some, and give each a moment; many get no answer."""
        for _ in range(count):
            name = list(self._clients)[int(self._rng.integers(len(self._clients)))]
            future = self._clients[name].call_async(getattr(self, f"_{name}")())
            self._rig.spin(future.done, 0.5)
            if not future.done():
                self._clients[name].remove_pending_request(future)
            second, nanosecond = TIMES[int(self._rng.integers(len(TIMES)))]
            message = Clock()
            message.clock.sec, message.clock.nanosec = second, nanosecond
            self._rig.clock.publish(message)
            self.count += 2

    def _draw(self, values: Any) -> Any:
        return values[int(self._rng.integers(len(values)))]

    def _set_parameters(self) -> SetParameters.Request:
        kind = int(self._rng.integers(0, 256)) if self._rng.random() < 0.3 else int(self._rng.integers(0, 11))
        value = ParameterValue(type=kind, string_value=self._draw(STRINGS))
        value.double_value = self._draw((-1.0, float("nan")))
        value.integer_value = int(self._draw((-1, 2**62)))
        value.string_array_value = [self._draw(STRINGS[1:])]
        return SetParameters.Request(parameters=[Parameter(name=self._draw(NAMES), value=value)])

    def _get_parameters(self) -> GetParameters.Request:
        return GetParameters.Request(names=[self._draw(NAMES) for _ in range(3)])

    def _list_parameters(self) -> ListParameters.Request:
        return ListParameters.Request(prefixes=[self._draw(NAMES)], depth=int(self._draw((0, 1, 2**63))))

    def _describe_parameters(self) -> DescribeParameters.Request:
        return DescribeParameters.Request(names=[self._draw(NAMES)])

    def _change_state(self) -> ChangeState.Request:
        request = ChangeState.Request()  # none that an active node would follow
        request.transition.id = int(self._draw((1, 2, 3, 9, 77, 255)))
        request.transition.label = self._draw(("", "rubbish", "\ufffd", "activate", "x" * 5000))
        return request
