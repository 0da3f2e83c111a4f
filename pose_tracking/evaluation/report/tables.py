"""Tables of plain texts, for the terminal, CSV files and HTML pages; and how numbers are written in them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNKNOWN = "-"  # a cell without a value


@dataclass(frozen=True)
class Table:
    """A table whose first column is names.

    Attributes:
        head: (C,) titles of the columns.
        rows: (R, C) cells, see `number` and its neighbours.
        totals: how many of the last rows sum up the others.
        title: what it shows, where that is not said elsewhere.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    totals: int = 0
    title: str = ""

    @property
    def known(self) -> Table:
        """The same without columns in which no cell has a value."""
        keep = [i for i in range(len(self.head)) if i == 0 or any(row[i] != UNKNOWN for row in self.rows)]
        rows = [[row[i] for i in keep] for row in self.rows]
        return Table([self.head[i] for i in keep], rows, self.totals, self.title)

    @property
    def body_and_totals(self) -> tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]:
        """The rows, and those of them that sum up the others."""
        split = len(self.rows) - self.totals
        return self.rows[:split], self.rows[split:]

    def as_text(self) -> list[str]:
        """Lines for the terminal, the first column left and the others right aligned."""
        widths = [max(len(row[i]) for row in (self.head, *self.rows)) for i in range(len(self.head))]
        return [
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in (self.head, *self.rows)
        ]


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with `head` as its first line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def number(value: float | None, form: str = ".3f") -> str:
    """A number in format `form`."""
    return UNKNOWN if value is None else format(value, form)


def percent(value: float | None) -> str:
    """A share as 12.3%."""
    return number(value, ".1%")


def count(value: float | None) -> str:
    """A count, or a mean of counts."""
    return UNKNOWN if value is None else number(value, "g" if value == int(value) else ".1f")


def millimetres(value: float | None) -> str:
    """A length in metres, written in millimetres."""
    return UNKNOWN if value is None else number(value * 1e3, ".1f")


def events_table(kinds: dict[str, Any]) -> Table:
    """What `metrics.events` gives, kind by kind."""
    rows = [
        [
            kind.replace("_", " "),
            count(of["happened"]),
            count(of["told"]),
            count(of["right"]),
            percent(of["precision"]),
            percent(of["recall"]),
            percent(of["f"]),
            number(of["median_delay"], ".2f"),
        ]
        for kind, of in kinds.items()
    ]
    return Table(["event", "happened", "told", "right", "precision", "recall", "F", "delay [s]"], rows)


def clips_table(scores: dict[str, Any]) -> Table:
    """What `metrics.clips` gives: the clip network and the rules on the same windows, label by label."""
    network, rules = scores["network"]["classes"], scores["rules"]["classes"]
    head = ["clip of", "clips", *(f"{who} {key}" for who in ("network", "rules") for key in ("P", "R", "F"))]
    rows = [
        [
            label.replace("_", " "),
            count(network[label]["count"]),
            *(percent(of[label][key]) for of in (network, rules) for key in ("precision", "recall", "f")),
        ]
        for label in network
        if network[label]["count"]
    ]
    means = [
        UNKNOWN,
        UNKNOWN,
        percent(scores["network"]["macro_f"]),
        UNKNOWN,
        UNKNOWN,
        percent(scores["rules"]["macro_f"]),
    ]
    total = sum(of["count"] for of in network.values())
    return Table(head, [*rows, ["mean F", count(total), *means]], totals=1)


def ycbineoat_table(scores: dict[str, Any]) -> Table:
    """What `metrics.ycbineoat` gives, object by object, then their mean and all frames together."""
    head = [
        "object", "frames", "found", "ADD AUC", "ADD-S AUC", "track IDs", "longest stretch", "[s]", "jitter [mm]",
        "[deg]",
    ]  # fmt: skip

    def row(name: str, of: dict[str, Any]) -> list[str]:
        return [
            name,
            count(of.get("frames")),
            percent(of["found"] / of["frames"]) if of.get("frames") else UNKNOWN,
            percent(of["add_auc"]),
            percent(of["add_s_auc"]),
            count(of.get("track_ids")),
            count(of.get("longest_frames")),
            number(of.get("longest_seconds"), ".1f"),
            millimetres(of.get("jitter_m")),
            number(of.get("jitter_deg"), ".2f"),
        ]

    rows = [row(name, of) for name, of in scores["objects"].items()]
    return Table(head, [*rows, row("mean", scores["mean"]), row("all frames", scores["all"])], totals=2)


def size_table(scores: dict[str, Any]) -> Table:
    """What `metrics.size` gives: boxes by the sides they were seen from, and scales of meshes."""
    names = {"1": "box, from one side", "2": "from two", "3": "from three or more"}
    rows = [
        [
            names[key],
            count(of["count"]),
            *map(percent, of["median"]),
            *map(percent, of["within_90"]),
            millimetres(of["place_m"]),
        ]
        for key, of in scores["boxes"].items()
        if of["count"]
    ]
    if (of := scores["scale"])["count"]:
        off, within = percent(of["median"][0]), percent(of["within_90"][0])
        rows.append(["scale of the mesh", count(of["count"]), off, UNKNOWN, UNKNOWN, within, UNKNOWN, UNKNOWN, UNKNOWN])
    head = ["size", "count", "longer", "shorter", "height", "within 90 %", "shorter", "height", "middle [mm]"]
    return Table(head, rows)
