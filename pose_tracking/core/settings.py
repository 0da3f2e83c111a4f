"""`NAME=VALUE`: options of a config changed by texts, as `--set` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar, cast

import yaml

from .config import current_name, from_mapping
from .errors import ConfigError

T = TypeVar("T")


def with_settings(config: T, settings: Sequence[str], where: str = "--set") -> T:
    """`config` with some options changed.

    Args:
        config: a config dataclass.
        settings: texts such as ``"tables=0"``, ``"clutter=0,0"`` or, for an option of a nested config,
            ``"sensor.blur=0.3"``; several values are separated by commas. Former names of options and groups will
            do, with a warning.
        where: what to call the source in an error.

    Raises:
        ConfigError: a text is not NAME=VALUE, or its option is unknown, of the wrong type or out of range.
    """
    values: dict[str, Any] = asdict(config)  # type: ignore[call-overload]
    for text in settings:
        name, equals, value = text.partition("=")
        *groups, option = name.strip().split(".")
        if not equals or not option:
            raise ConfigError(f"{where} {text!r} is not NAME=VALUE")
        target, owner = values, cast(Any, config)
        for written in groups:
            group = current_name(type(owner), written, where)
            owner = getattr(owner, group, None)
            if not is_dataclass(owner):
                raise ConfigError(f"{where} {text!r}: {written!r} is not a group of options")
            target = target[group]
        try:
            target[current_name(type(owner), option, where)] = yaml.safe_load(f"[{value}]" if "," in value else value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{where} {text!r}: {value!r} cannot be read as a value") from error
    return from_mapping(type(config), values, where)
