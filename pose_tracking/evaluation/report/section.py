"""What a part of a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .tables import Table


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: its heading.
        tables, plots: what it shows; plots are PNG.
        note: how to read it.
    """

    title: str
    tables: Sequence[Table] = ()
    plots: Sequence[bytes] = ()
    note: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A part that is not in the report, and why."""

    title: str
    reason: str
