"""Changing options in a ``bundle.yaml`` without touching the rest of it, comments included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pose_tracking.core.errors import BundleError
from pose_tracking.core.files import write_text


def set_options(path: str | Path, section: tuple[str, ...], options: Mapping[str, Any]) -> None:
    """Set options of one section, e.g. ``("pose", "verification")``, in a YAML file, atomically.

    Options that are there are replaced where they stand; others, and sections that are missing, are added.

    Raises:
        BundleError: the file is no YAML mapping, or the result would not be a valid bundle.
        ConfigError: an option is unknown or out of range.
    """
    from .bundle import read_options

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        wanted = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BundleError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    target = wanted
    for name in section:
        if isinstance(target, dict) and target.get(name) is None:
            target[name] = {}
        target = target.get(name) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise BundleError(f"{path}: {'.'.join(section)} is not a mapping of options")
    target.update(options)
    read_options(wanted, path.parent)
    try:
        for name, value in options.items():
            text = _set(text, (*section, name), value)
        edited = yaml.safe_load(text)
    except yaml.YAMLError:
        edited = None
    if edited != wanted:
        raise BundleError(f"{path}: cannot be edited in place; write its {'.'.join(section)} section as a block")
    write_text(path, text)


def _set(text: str, keys: tuple[str, ...], value: Any) -> str:
    """`text` with one option set."""
    node: yaml.Node | None = yaml.compose(text)
    end, column = len(text), 0
    for depth, name in enumerate(keys):
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, entry) for key, entry in entries if key.value == name), None)
        if found is None:
            return _insert(text, node, keys[depth:], value, column)
        key, node = found
        end, column = _end(node), key.start_mark.column + 2
    return text[: key.end_mark.index] + f": {_flow(value)}" + text[end:]


def _insert(text: str, node: yaml.Node | None, keys: tuple[str, ...], value: Any, column: int) -> str:
    """Add missing `keys` at the end of the mapping `node`, or at `column` where there is nothing in it yet."""
    inner = column > 0
    if isinstance(node, yaml.MappingNode) and node.value:
        column = node.value[0][0].start_mark.column
    lines = [" " * (column + 2 * i) + f"{key}:" for i, key in enumerate(keys)]
    lines[-1] += f" {_flow(value)}"
    end = len(text)
    if node is not None and inner:
        line_end = text.find("\n", _end(node))
        end = len(text) if line_end < 0 else line_end
    before = text[:end].rstrip()
    return before + ("\n" if before else "") + "\n".join(lines) + "\n" + text[len(before) :].lstrip("\n")


def _end(node: yaml.Node) -> int:
    """Where a node's text ends; PyYAML lets a block end where the next token begins, comments between included."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _flow(value: Any) -> str:
    """`value` on one line of YAML."""
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return str(dumped).removesuffix("\n").removesuffix("\n...").strip()
