"""What the documentation takes from the code when it is built: the tables of options, into docs/options.md.

A hook of mkdocs (mkdocs.yml); ``python scripts/docs_hooks.py`` prints the tables.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MARKER = "<!-- options -->"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with the text of each page."""
    return markdown.replace(MARKER, options()) if MARKER in markdown else markdown


def options() -> str:
    """Every option of ``bundle.yaml`` as Markdown: a section for each group, a table row for each option."""
    if str(ROOT) not in sys.path:  # the code of this checkout, not an installed one
        sys.path.insert(0, str(ROOT))
    from pose_tracking.bundles.bundle_config import BundleConfig

    return "\n".join(_section(BundleConfig, ""))


def _section(cls: type, path: str) -> Iterator[str]:
    """Heading, summary and table of one group, then the groups below it."""
    level = "#" * (2 + path.count(".")) if path else "##"
    hints = typing.get_type_hints(cls)
    groups = {f.name: hints[f.name] for f in dataclasses.fields(cls) if dataclasses.is_dataclass(hints[f.name])}
    yield f"{level} {f'`{path}`' if path else 'Top level'}\n"
    yield f"{_summary(cls)}\n"
    rows = [_row(field) for field in dataclasses.fields(cls) if field.name not in groups]
    if rows:
        yield "| option | default | range | run time | what |\n|---|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for name, group in groups.items():
        yield from _section(group, f"{path}.{name}" if path else name)


def _row(field: dataclasses.Field[Any]) -> str:
    known = field.metadata
    limits = known.get("range")
    unit = known.get("unit", "")
    allowed = f"{limits[0]:g} to {limits[1]:g}" if limits else ", ".join(known.get("choices") or ())
    made = field.default_factory
    default = made() if made is not dataclasses.MISSING else field.default
    formerly = f" Formerly `{known['formerly']}`." if known.get("formerly") else ""
    help = known.get("help", "")
    text = (help[:1].upper() + help[1:] + "." + formerly).replace("|", "\\|").replace("<", "&lt;")
    changes = "yes" if known.get("runtime") else ""
    cells = (f"`{field.name}`", f"`{_yaml(default)}`", f"{allowed} {unit}".strip(), changes, text)
    return "| " + " | ".join(cells) + " |"


def _yaml(value: Any) -> str:
    """A value as one would write it into ``bundle.yaml``."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return '""' if value == "" else str(value)


def _summary(cls: type) -> str:
    """The first paragraph of its docstring."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


if __name__ == "__main__":
    print(options())
