"""The parameter table of `parameters` on a ROS node: declaration with descriptors, checks, changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter as RosParameter

from pose_tracking.core.errors import ConfigError

from .parameters import PARAMETERS, READ_ONLY, RUNTIME, UNCONFIGURED, Parameter

_TYPES = {
    "bool": ParameterType.PARAMETER_BOOL,
    "integer": ParameterType.PARAMETER_INTEGER,
    "double": ParameterType.PARAMETER_DOUBLE,
    "string": ParameterType.PARAMETER_STRING,
    "string[]": ParameterType.PARAMETER_STRING_ARRAY,
}


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """ROS descriptor of a parameter."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    constraints = f"may change {parameter.change}"
    if parameter.choices:
        constraints += f"; one of {', '.join(parameter.choices)}"
    message = ParameterDescriptor(
        name=parameter.name,
        type=_TYPES[parameter.kind],
        description=parameter.help + unit,
        additional_constraints=constraints,
        read_only=parameter.change == READ_ONLY,
    )
    if parameter.range is not None:
        low, high = parameter.range
        if parameter.kind == "integer":
            message.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        else:
            message.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    return message


class NodeParameters:
    """Declares the parameters on a node and watches over their changes.

    Args:
        node: the node.
        is_configured: whether the node is configured now.
        on_change: called with the run-time parameters that are about to change, name to value; a `ConfigError` it
            raises rejects the change.

    Raises:
        ConfigError: a value given at the start is of the wrong type or out of range.
    """

    def __init__(
        self, node: LifecycleNode, is_configured: Callable[[], bool], on_change: Callable[[dict[str, Any]], None]
    ) -> None:
        self._node = node
        self._is_configured = is_configured
        self._on_change = on_change
        self._adopting = False
        self.explicit: set[str] = set()
        for parameter in PARAMETERS.values():
            self._declare(parameter)
        node.add_on_set_parameters_callback(self._check)

    def __getitem__(self, name: str) -> Any:
        return PARAMETERS[name].coerce(_value(self._node.get_parameter(name)))

    def values(self) -> dict[str, Any]:
        """All values by name."""
        return {name: self[name] for name in PARAMETERS}

    def explicit_options(self) -> dict[str, Any]:
        """Run-time options of the pipeline that someone has set: option name to value."""
        return {p.option: self[p.name] for p in PARAMETERS.values() if p.option and p.name in self.explicit}

    def adopt(self, options: dict[str, Any]) -> None:
        """Show what a bundle says for the options that nobody has set."""
        changes = [
            _ros_parameter(p, options[p.option])
            for p in PARAMETERS.values()
            if p.option in options and p.name not in self.explicit
        ]
        self._adopting = True
        try:
            self._node.set_parameters(changes)
        finally:
            self._adopting = False

    def _declare(self, parameter: Parameter) -> None:
        # rclpy does not tell an override from a default, nor does it take "lambda:=1" for a double: look first.
        probe = self._node.declare_parameter(parameter.name, None, ParameterDescriptor(dynamic_typing=True))
        value = parameter.default
        if probe.type_ != RosParameter.Type.NOT_SET:
            value = parameter.coerce(_value(probe))
            self.explicit.add(parameter.name)
        self._node.undeclare_parameter(parameter.name)
        try:
            self._node.declare_parameter(parameter.name, _to_ros(value), descriptor(parameter), ignore_override=True)
        except ParameterException as error:
            raise ConfigError(f"parameter {parameter.name} = {value!r}: {error}") from error

    def _check(self, changes: Iterable[RosParameter]) -> SetParametersResult:
        if self._adopting:
            return SetParametersResult(successful=True)
        accepted: dict[str, Any] = {}
        try:
            for change in changes:
                parameter = PARAMETERS.get(change.name)
                if parameter is None:
                    continue  # not ours: use_sim_time
                if parameter.change == UNCONFIGURED and self._is_configured():
                    raise ConfigError(
                        f"{change.name} is read-only while the node is configured: deactivate and clean up first"
                    )
                accepted[change.name] = parameter.coerce(_value(change))
            self._on_change({n: v for n, v in accepted.items() if PARAMETERS[n].change == RUNTIME})
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.explicit.update(accepted)
        return SetParametersResult(successful=True)


def _value(parameter: RosParameter) -> Any:
    return list(parameter.value) if parameter.type_ == RosParameter.Type.STRING_ARRAY else parameter.value


def _to_ros(value: Any) -> Any:
    # rclpy takes an empty list for bytes; an empty string means "none" to `Parameter.coerce`.
    return (list(value) or [""]) if isinstance(value, tuple) else value


def _ros_parameter(parameter: Parameter, value: Any) -> RosParameter:
    return RosParameter(parameter.name, value=_to_ros(value))
