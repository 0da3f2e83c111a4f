"""A report as one HTML page, from the templates beside this file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .results import Report
from .sections import figures, sections
from .tables import UNKNOWN


@dataclass(frozen=True)
class Picture:
    """An encoded image with its media type and caption, and where a click on it leads."""

    data: bytes
    media_type: str
    caption: str
    link: str = ""


@dataclass(frozen=True)
class Pictures:
    """Frames of a run.

    Attributes:
        examples: frames spread over the run.
        worst: the frames in which most went wrong, the worst first.
        note: a sentence for the reader, e.g. why there is no video.
    """

    examples: Sequence[Picture] = field(default_factory=list)
    worst: Sequence[Picture] = field(default_factory=list)
    note: str = ""


def render_html(report: Report, pictures: Pictures | None = None) -> str:
    """The page: a summary, then what was measured, with tables, plots and pictures inside it."""
    shown, left_out = sections(report)
    return render(
        "report.html",
        data=report.data,
        figures=figures(report.data),
        sections=shown,
        left_out=left_out,
        pictures=pictures or Pictures(),
    )


def render(template: str, **values: Any) -> str:
    """A page of a template in ``templates/``; everything in `values` is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pose_tracking.evaluation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    environment.globals |= {"UNKNOWN": UNKNOWN, "style": _style}
    return environment


def _style() -> str:
    """The style sheet."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), "style.css")[0]


def _inline(data: bytes, media_type: str = "image/png") -> str:
    """An image as a data URI, so that the page needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
