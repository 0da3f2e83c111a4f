"""The files of a sweep: JSON, tables as text, a plot, and all of it as one HTML page."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pose_tracking.core.files import atomic_path, make_directory, write_json, write_text
from pose_tracking.evaluation.report import plots
from pose_tracking.evaluation.report.html import html_figure, html_page, html_table

SWEEP_FILES = ("sweep.json", "sweep.txt", "sweep.png", "sweep.html")
# The two lambdas the design shows object by object.
DETAILED = (0.5, 0.25)
_COLUMNS = {
    "id_switches": "ID switches",
    "fragmentations": "fragmentations",
    "mota": "MOTA",
    "motp": "MOTP",
    "idf1": "IDF1",
    "hota": "HOTA",
    "mt": "MT",
    "ml": "ML",
}


def format_sweep(data: dict[str, Any]) -> str:
    """The content of ``sweep.json`` as text: one table of all runs, then those of `DETAILED` object by object."""
    lines = [
        f"{data['model']} on {data['source']}: {data['frames']} frames, detections: {data['detections']}, camera "
        f"motion {'given' if data['settings']['camera_motion'] else 'not given'}",
        "",
    ]
    for title, head, rows in _tables(data):
        lines += [title, *_text_table(head, rows), ""]
    return "\n".join(lines)


def write_sweep(data: dict[str, Any], out: str | Path) -> None:
    """Write `SWEEP_FILES` to folder `out`.

    Raises:
        OutputError: it cannot be written.
    """
    out = make_directory(out)
    picture = plots.sweep_curves(data["rows"], data["baselines"])
    write_json(out / "sweep.json", data)
    write_text(out / "sweep.txt", format_sweep(data))
    with atomic_path(out / "sweep.png") as temporary:
        temporary.write_bytes(picture)
    write_text(out / "sweep.html", render_sweep(data, picture))


def render_sweep(data: dict[str, Any], picture: bytes) -> str:
    """The content of ``sweep.json`` and its plot as one self-contained HTML page."""
    title = f"{data['model']} on {data['source']}"
    given = "given to the tracker" if data["settings"]["camera_motion"] else "not given to the tracker"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{data['frames']} frames, {data['rows'][0]['object_frames']} boxes of the ground truth; detections: "
        f"{html.escape(data['detections'])}; camera motion {given}.</p>",
        html_figure(picture),
    ]
    for heading, head, rows in _tables(data):
        parts += [f"<h2>{html.escape(heading)}</h2>", html_table(head, rows, "mean" if head[0] == "object" else "")]
    parts += [
        '<p class="note">Confirmed tracks that were observed in the frame, 2D boxes, IoU 0.5, within each class; '
        "lambda is the share of motion in the association cost, 0 = appearance only. MOTP is the mean IoU of the "
        "matches (1 is best), MT and ML the number of instances tracked for at least 80 % and below 20 % of their "
        "time.</p>",
        f"<h2>Settings</h2><pre>{html.escape(json.dumps(data['settings'], indent=1))}</pre>",
    ]
    return html_page(title, parts)


def _tables(data: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, head and rows of each table."""
    columns = [*_COLUMNS.values()]
    overall = [
        [row["motion"], f"{row['lambda']:g}", *_cells(row), _cell(row["switches_per_1000"], "")] for row in data["rows"]
    ]
    overall += [
        [baseline["name"], "", *_cells(baseline), _cell(baseline["switches_per_1000"], "")]
        for baseline in data["baselines"]
    ]
    tables = [("All objects", ["motion", "lambda", *columns, "switches per 1000"], overall)]
    for value in DETAILED:
        for row in data["rows"]:
            if row["lambda"] == value:
                rows = [[name, *_cells(scores)] for name, scores in row["objects"].items()]
                title = f"lambda {value:g}, {row['motion']} motion"
                tables.append((title, ["object", *columns], [*rows, ["overall", *_cells(row)]]))
    return tables


def _cells(scores: dict[str, Any]) -> list[str]:
    return [_cell(scores[name], name) for name in _COLUMNS]


def _cell(value: float | int | None, name: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if name == "" else f"{value:.1%}"


def _text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first column is left and whose others are right aligned."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
