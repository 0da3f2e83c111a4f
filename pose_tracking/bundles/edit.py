"""Writing a ``bundle.yaml``, and changing options in one without touching the rest of it, comments included."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import CommentMark, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.tokens import CommentToken

from pose_tracking.core.errors import BundleError
from pose_tracking.core.files import write_text
from pose_tracking.core.yaml_files import YamlFileError, parse_yaml, read_text, yaml_problem

LINE_WIDTH = 110
# A byte order mark, directives and comments up to the dashes that begin a document.
_DOCUMENT_START = re.compile(r"\ufeff?(?:(?:[ \t]*#.*|%.*|[ \t]*)\n)*---[ \t]*(?:#.*)?\n|\ufeff")


def bundle_yaml(values: Mapping[str, Any]) -> str:
    """Text of a new ``bundle.yaml``."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=LINE_WIDTH))


def set_options(path: str | Path, section: tuple[str, ...], options: Mapping[str, Any]) -> None:
    """Set options of one section, e.g. ``("pose", "verification")``, in a YAML file, atomically.

    Options that are there are replaced where they stand; others, and sections that are missing, are added at the end.
    Comments, order, quoting, line ends and flow style of the file stay.

    Raises:
        BundleError: the file is no YAML mapping, or the result would not be a valid bundle.
        ConfigError: an option is unknown or out of range.
    """
    from .bundle_config import read_options

    path = Path(path)
    try:
        text = read_text(path)
        wanted = _unshared(parse_yaml(text) or {})
        _update(wanted, section, options, path)
        read_options(wanted, path.parent)
        edited = _edited(text, section, options)
        # A comment in the midst of a flow mapping, or a section that another one refers to by an alias.
        if edited is None or parse_yaml(edited) != wanted:
            raise BundleError(f"{path}: cannot be edited in place; write its {'.'.join(section)} section as a block")
    except YAMLError as error:
        raise BundleError(f"{path}: cannot be edited in place ({yaml_problem(error)})") from error
    except YamlFileError as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error
    write_text(path, edited)


def _unshared(value: Any) -> Any:
    """A copy in which no part stands twice, as aliases of YAML make it."""
    if isinstance(value, dict):
        return {key: _unshared(entry) for key, entry in value.items()}
    return [_unshared(entry) for entry in value] if isinstance(value, list) else value


def _update(values: Any, section: tuple[str, ...], options: Mapping[str, Any], path: Path) -> None:
    target = values
    for name in section:
        if isinstance(target, dict) and target.get(name) is None:
            target[name] = {}
        target = target.get(name) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise BundleError(f"{path}: {'.'.join(section)} is not a mapping of options")
    target.update(options)


def _edited(text: str, section: tuple[str, ...], options: Mapping[str, Any]) -> str | None:
    """`text` with options of a section set; None where a comment would be lost."""
    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    head = start.group() if (start := _DOCUMENT_START.match(text)) else ""  # ruamel.yaml would drop it
    text = text.removeprefix(head)
    editor = _editor()
    editor.width = max([LINE_WIDTH, *map(len, text.splitlines())])
    root = editor.load(text)
    if root is None:  # nothing, or comments only
        head, root = head + (text if not text or text.endswith("\n") else f"{text}\n"), CommentedMap()
    step, offset = _indents(root)
    editor.indent(mapping=step, sequence=offset + 2, offset=offset)
    if root and _dumped(editor, root).count("#") != text.count("#"):
        return None
    _set(root, section, options)
    return (head + _dumped(editor, root)).replace("\n", line_end)


def _set(root: CommentedMap, section: tuple[str, ...], options: Mapping[str, Any]) -> None:
    new = {name: _node(value) for name, value in options.items()}
    block = root
    for depth, name in enumerate(section):
        if block.get(name) is None or isinstance(block[name], _WrittenNull):
            for inner in reversed(section[depth + 1 :]):
                new = {inner: CommentedMap(new)}
            _put(block, name, CommentedMap(new))
            return
        block = block[name]
    for name, value in new.items():
        _put(block, name, value)


def _dumped(editor: YAML, root: Any) -> str:
    written = io.StringIO()
    editor.dump(root, written)
    return written.getvalue()


def _editor() -> YAML:
    """A reader and writer that keeps comments, order, quotes and how null is written."""

    class Constructor(RoundTripConstructor):
        pass

    class Representer(RoundTripRepresenter):
        pass

    null = "tag:yaml.org,2002:null"
    Constructor.add_constructor(null, lambda _, node: _WrittenNull(node.value) if node.value else None)
    Representer.add_representer(_WrittenNull, lambda self, value: self.represent_scalar(null, value.text))
    editor = YAML()
    editor.Constructor, editor.Representer, editor.preserve_quotes = Constructor, Representer, True
    return editor


@dataclass(frozen=True)
class _WrittenNull:
    text: str


def _indents(root: Any) -> tuple[int, int]:
    """How far the file indents a block in a block, and the dashes of a list in a block."""
    steps, offsets, blocks = [], [], [root]
    while blocks:
        block = blocks.pop()
        for value in block.values():
            if not isinstance(value, (CommentedMap, CommentedSeq)) or not value or value.fa.flow_style():
                continue
            step = int(value.lc.col) - int(block.lc.col)
            if isinstance(value, CommentedSeq):
                offsets.append(step)
            else:
                steps.append(step)
                blocks.append(value)
    return max(steps[0] if steps else 2, 2), max(offsets[0] if offsets else 0, 0)


def _node(value: Any) -> Any:
    """`value` as it is to be written; from PyYAML's own text, so that PyYAML reads the same number again."""
    return YAML().load(yaml.safe_dump(value, default_flow_style=True, width=10**6))


def _put(block: CommentedMap, name: str, value: Any) -> None:
    """Set an entry of a block; comments below the entry that it replaces or follows then stand below it."""
    below = ""
    if not block.fa.flow_style() and block:
        below = _take_comments_below(*_last_leaf(block, name if name in block else next(reversed(block))))
    block[name] = value
    if below:
        _add_comments_below(*_last_leaf(block, name), below)


def _last_leaf(parent: Any, key: Any) -> tuple[Any, Any]:
    """Parent and key of the last entry inside of ``parent[key]``, or `parent` and `key` themselves.

    ruamel.yaml holds a comment by the last entry before it, however deep.
    """
    value = parent[key]
    while isinstance(value, (CommentedMap, CommentedSeq)) and value and not value.fa.flow_style():
        parent, key = value, next(reversed(value)) if isinstance(value, CommentedMap) else len(value) - 1
        value = parent[key]
    return parent, key


def _slot(parent: Any) -> int:
    """Where in the comments of an entry those after it are."""
    return 2 if isinstance(parent, CommentedMap) else 0


def _take_comments_below(parent: Any, key: Any) -> str:
    """Remove the comment lines below an entry, leaving the comment on its own line; the text removed."""
    held = parent.ca.items.get(key)
    token = held[_slot(parent)] if held else None
    if token is None:
        return ""
    beside, _, below = token.value.partition("\n")
    if beside:
        token.value = f"{beside}\n"
    else:
        held[_slot(parent)] = None
    return str(below)


def _add_comments_below(parent: Any, key: Any, text: str) -> None:
    held = parent.ca.items.setdefault(key, [None, None, None, None])
    token = held[_slot(parent)]
    beside = token.value if token is not None else "\n"
    held[_slot(parent)] = CommentToken(beside + text, token.start_mark if token else CommentMark(0), None)
