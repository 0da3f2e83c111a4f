"""The parameter table of `parameters` on a ROS node: declaration with descriptors, checks, changes, former names."""

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

from .parameters import FORMER_NAMES, PARAMETERS, READ_ONLY, RUNTIME, UNCONFIGURED, Parameter, renamed

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

    A parameter that goes by its former name, at the start or later, is taken for the one of today, with a warning.

    Args:
        node: the node.
        is_configured: whether the node is configured now.
        on_change: called with the run-time parameters that are about to change, name to value; a `ConfigError` it
            raises rejects the change.

    Raises:
        ConfigError: a value given at the start is of the wrong type or out of range, or is given under the former
            name and the one of today.
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
        if hasattr(node, "add_pre_set_parameters_callback"):  # Humble takes former names only at the start
            node.add_pre_set_parameters_callback(self._as_declared)

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
        given = self._override(parameter.name)
        if parameter.formerly:
            former = self._override(parameter.formerly)
            if former is not None:
                if given is not None:
                    raise ConfigError(f"{renamed(parameter.formerly)}; state one of them")
                self._node.get_logger().warning(renamed(parameter.formerly))
                given = former
        value = parameter.default
        if given is not None:
            value = parameter.coerce(_value(given))
            self.explicit.add(parameter.name)
        try:
            self._node.declare_parameter(parameter.name, _to_ros(value), descriptor(parameter), ignore_override=True)
        except ParameterException as error:
            raise ConfigError(f"parameter {parameter.name} = {value!r}: {error}") from error

    def _override(self, name: str) -> RosParameter | None:
        """What the start of the node says of a parameter, if anything.

        rclpy does not tell an override from a default, nor does it take "lambda:=1" for a double: look first.
        """
        probe = self._node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True))
        self._node.undeclare_parameter(name)
        return probe if probe.type_ != RosParameter.Type.NOT_SET else None

    def _as_declared(self, changes: list[RosParameter]) -> list[RosParameter]:
        """Changes by the names of today, and with numbers for the words that stand for them: a type is for ever."""
        for change in changes:
            if change.name in FORMER_NAMES:
                self._node.get_logger().warning(renamed(change.name))
        return [_as_number(RosParameter(FORMER_NAMES.get(c.name, c.name), c.type_, c.value)) for c in changes]

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


def _as_number(change: RosParameter) -> RosParameter:
    words = PARAMETERS[change.name].words if change.name in PARAMETERS else {}
    if change.type_ == RosParameter.Type.STRING and change.value in words:
        return RosParameter(change.name, value=words[change.value])
    return change


def _value(parameter: RosParameter) -> Any:
    return list(parameter.value) if parameter.type_ == RosParameter.Type.STRING_ARRAY else parameter.value


def _to_ros(value: Any) -> Any:
    # rclpy takes an empty list for bytes; an empty string means "none" to `Parameter.coerce`.
    return (list(value) or [""]) if isinstance(value, tuple) else value


def _ros_parameter(parameter: Parameter, value: Any) -> RosParameter:
    return RosParameter(parameter.name, value=_to_ros(value))
