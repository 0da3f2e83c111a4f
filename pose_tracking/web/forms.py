"""What the fields of a form ask of the gallery: put into the words of a query, which checks them all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from urllib.parse import urlsplit

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.query import parse_query, quoted


def where_of(
    day: date | None,
    *,
    classes: Sequence[str] = (),
    cameras: Sequence[str] = (),
    text: str = "",
    after: str = "",
    before: str = "",
    near: str = "",
    map_frame: str = "",
) -> Filter:
    """The conditions of a form; fields that are empty ask nothing.

    Raises:
        ConfigError: a field cannot be read; the message names it.
    """
    terms = [f'class:"{_escaped(name)}"' for name in classes if name]
    terms += [f'camera:"{_escaped(name)}"' for name in cameras if name]
    single = {"after": after, "before": before, "near": near.replace(" ", ""), "map": map_frame}
    terms += [f"{field}:{quoted(value.strip())}" for field, value in single.items() if value.strip()]
    if text.strip():
        terms.append(quoted(text.strip()))
    return parse_query(" ".join(terms), day).where


def local_path(target: str, otherwise: str) -> str:
    """A path of this server that a form names to go back to; anything else becomes `otherwise`."""
    parts = urlsplit(target)
    is_path = target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target
    return target if is_path and not parts.scheme and not parts.netloc and target.isprintable() else otherwise


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')
