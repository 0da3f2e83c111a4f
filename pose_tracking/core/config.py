"""Dataclass configs: options that know their unit, range and meaning, read from YAML mappings.

A config is a plain (frozen) dataclass whose fields are made with `option`. The metadata feeds the range checks
here, the ROS parameter descriptors of the node and the tables in the documentation, so it is written once.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from .errors import ConfigError

LOGGER = logging.getLogger(__name__)
T = TypeVar("T")


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    range: tuple[float, float] | None = None,
    choices: tuple[str | None, ...] | None = None,
    runtime: bool = False,
    formerly: str = "",
    words: Mapping[str, int] | None = None,
) -> Any:
    """A dataclass field with documentation and limits.

    Args:
        default: default value; mutable defaults (list, dict) are copied for each instance.
        help: one sentence for people.
        unit: SI unit, "px", "frames" or "" for a pure number.
        range: inclusive limits of a number.
        choices: allowed values of a string, None among them where it may be left out.
        runtime: whether a running node may change it.
        formerly: name of the option in the version before, still read, with a warning.
        words: what may be said in place of a number, and which one it stands for.
    """
    metadata = {
        "help": help, "unit": unit, "range": range, "choices": choices, "runtime": runtime, "formerly": formerly,
        "words": words or {},
    }  # fmt: skip
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build config `cls` from a mapping (e.g. parsed YAML), checking names, types and ranges.

    Args:
        cls: a dataclass whose fields were made with `option`; nested dataclass fields are read recursively.
        values: the mapping; options may have the names they had in the version before, with a warning.
        where: what to call the source in an error, e.g. ``"bundle.yaml: pose"``.

    Raises:
        ConfigError: unknown key, wrong type, value out of range, or an option under its old and its new name; the
            message names key, value and limit.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of options, got {values!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = _with_current_names(cls, values, where)
    unknown = sorted(set(values) - set(fields), key=str)
    if unknown:
        raise ConfigError(f"{where}: unknown option {unknown[0]!r}; known: {', '.join(sorted(fields))}")
    kwargs: dict[str, Any] = {}
    for name, value in values.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            kwargs[name] = from_mapping(hint, value, f"{where}.{name}")
        else:
            kwargs[name] = _coerce(in_numbers(value, fields[name].metadata), hint, f"{where}: {name}")
    config = cls(**kwargs)
    validate(config, where)
    return config


def in_numbers(value: Any, metadata: Mapping[str, Any]) -> Any:
    """The number that a word stands for which an option takes in place of one; any other value as it is."""
    return metadata.get("words", {}).get(value, value) if isinstance(value, str) else value


def current_name(cls: type, name: str, where: str) -> str:
    """What the option `name` of config `cls` is called today.

    A former name is warned about, once for each `where`; any other name, known or not, comes back as it is.
    """
    for field in dataclasses.fields(cls):
        if name and field.metadata.get("formerly") == name:
            _warn_of_former_name(where, name, field.name)
            return field.name
    return name


def _with_current_names(cls: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        current = current_name(cls, name, where)
        if current != name and current in values:
            raise ConfigError(f"{where}: {name!r} is the former name of {current!r}: state one of them")
        found[current] = value
    return found


@functools.cache
def _warn_of_former_name(where: str, old: str, new: str) -> None:
    LOGGER.warning("%s: option %r is now called %r; the old name goes with the next version", where, old, new)


def validate(config: Any, where: str = "configuration") -> None:
    """Check every field of `config` against the limits its `option` states.

    Raises:
        ConfigError: a value is out of range or not among its choices.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            validate(value, f"{where}.{field.name}")
            continue
        limits, choices = field.metadata.get("range"), field.metadata.get("choices")
        unit = f" {field.metadata['unit']}" if field.metadata.get("unit") else ""
        if limits is not None and value is not None:
            for number in value if isinstance(value, (list, tuple)) else (value,):
                if not limits[0] <= number <= limits[1]:
                    raise ConfigError(
                        f"{where}: {field.name} = {number!r} is outside {limits[0]:g} to {limits[1]:g}{unit}"
                    )
        if choices is not None and value not in choices:
            raise ConfigError(f"{where}: {field.name} = {value!r} is not one of {', '.join(map(str, choices))}")


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as type `hint`, widening only int -> float and list -> tuple."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        for arg in args:
            if arg is type(None):
                continue
            try:
                return _coerce(value, arg, where)
            except ConfigError:
                continue
        raise ConfigError(f"{where} = {value!r} is not of type {hint}")
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} = {value!r} is not a list")
        items = [_coerce(v, args[0], where) for v in value] if args else list(value)
        if origin is tuple and len(args) > 1 and args[-1] is not Ellipsis and len(items) != len(args):
            raise ConfigError(f"{where} = {value!r} does not have {len(args)} entries")
        return origin(items)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} = {value!r} is not a mapping")
        return {_coerce(k, args[0], where): _coerce(v, args[1], where) for k, v in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and hint is not bool or not isinstance(value, hint):
        raise ConfigError(f"{where} = {value!r} is not of type {getattr(hint, '__name__', hint)}")
    return value
