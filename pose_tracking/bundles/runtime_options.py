"""Which options may change while the pipeline runs: those whose config field says ``runtime=True``, found by walking
`BundleConfig`. The pipeline, the node's parameters and the documentation all go by the list made here.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pose_tracking.core.config import from_mapping
from pose_tracking.core.errors import ConfigError

from .bundle_config import BundleConfig

LOGGER = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class RuntimeOption:
    """An option that may change between two frames.

    Attributes:
        name: what `PoseTracker.configure` calls it: the name of its field where it is an option of a stage and no other
            stage has one of that name, else `path` joined by dots.
        path: where it stands in ``bundle.yaml``, e.g. ``("pose", "search", "below")``; the first is the stage.
        default: its default.
        help, unit, range, choices: see `core.config.option`.
        formerly: its name in the version before, still taken; "" where it is the same.
        words: what may be said in place of a number, and which one it stands for.
    """

    name: str
    path: tuple[str, ...]
    default: Any
    help: str
    unit: str
    range: tuple[float, float] | None
    choices: tuple[str, ...] | None
    formerly: str
    words: Mapping[str, int]

    @property
    def stage(self) -> str:
        """Section of ``bundle.yaml``: segmentation, pose, tracking or pipeline."""
        return self.path[0]

    def of(self, config: Any) -> Any:
        """Its value in `config`, the config of its stage."""
        return functools.reduce(getattr, self.path[1:], config)


def _fields(cls: type, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dataclasses.Field[Any]]]:
    """All options below config `cls`, with their paths."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        where, hint = (*path, field.name), hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _fields(hint, where)
        else:
            yield where, field


def _collect() -> dict[str, RuntimeOption]:
    fields = list(_fields(BundleConfig))
    of_stages = [path[1] for path, _ in fields if len(path) == 2]
    options = {}
    for path, field in fields:
        meta = field.metadata
        if not meta.get("runtime"):
            continue
        name = path[1] if len(path) == 2 and of_stages.count(path[1]) == 1 else ".".join(path)
        options[name] = RuntimeOption(
            name, path, field.default, meta["help"], meta["unit"], meta["range"], meta["choices"], meta["formerly"],
            meta["words"],
        )  # fmt: skip
    return options


RUNTIME_OPTIONS: Mapping[str, RuntimeOption] = _collect()
_RENAMED = {option.formerly: option.name for option in RUNTIME_OPTIONS.values() if option.formerly}


def find_option(name: str) -> RuntimeOption:
    """The run-time option called `name`; a name of the version before is taken, with a warning.

    Raises:
        ConfigError: there is none of that name, or it cannot change at run time.
    """
    if name in _RENAMED:
        _say_renamed(name, _RENAMED[name])
        name = _RENAMED[name]
    if name not in RUNTIME_OPTIONS:
        raise ConfigError(f"{name!r} cannot change at run time; {', '.join(RUNTIME_OPTIONS)} can")
    return RUNTIME_OPTIONS[name]


def changed(configs: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Configs of the stages with other values.

    Args:
        configs: stage to the config it has now.
        options: name of a run-time option to its new value.

    Returns:
        stage to its new config, of the stages that change.

    Raises:
        ConfigError: unknown option, wrong type or a value out of range; an option is given under two names.
    """
    new: dict[str, Any] = {}
    done: set[str] = set()
    for given, value in options.items():
        option = find_option(given)
        if option.name in done:
            raise ConfigError(f"{option.formerly!r} is the former name of {option.name!r}: state one of them")
        done.add(option.name)
        config = new.get(option.stage, configs[option.stage])
        new[option.stage] = _replaced(config, option.path[1:], value, option.stage)
    return new


def _replaced(config: T, path: Iterable[str], value: Any, where: str) -> T:
    name, *rest = path
    if rest:
        value = _replaced(getattr(config, name), rest, value, f"{where}.{name}")
    else:
        # Checks type and range, and widens int to float, as when it is read from bundle.yaml.
        value = getattr(from_mapping(type(config), {name: value}, where), name)
    return dataclasses.replace(config, **{name: value})  # type: ignore[type-var]


@functools.cache
def _say_renamed(old: str, new: str) -> None:
    LOGGER.warning("option %r is now called %r; the old name goes with the next version", old, new)
