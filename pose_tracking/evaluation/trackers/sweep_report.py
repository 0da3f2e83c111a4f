"""The files of a sweep: JSON, tables as text, a plot, and all of it as one HTML page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pose_tracking.core.files import atomic_path, make_directory, write_json, write_text
from pose_tracking.evaluation.report import plots
from pose_tracking.evaluation.report.html import render
from pose_tracking.evaluation.report.schema import read_output
from pose_tracking.evaluation.report.tables import Table, number, percent

from .sweep import SCHEMA

SWEEP_FILES = ("sweep.json", "sweep.txt", "sweep.png", "sweep.html")
# The two lambdas that are shown object by object.
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
    noise = data["settings"].get("noisy_gt") or {}
    told = f" (covariance told x {noise['covariance_scale']:.4g})" if "covariance_scale" in noise else ""
    lines = [
        f"{data['model']} on {data['source']}: {data['frames']} frames, detections: {data['detections']}{told}, camera "
        f"motion {'given' if data['settings']['camera_motion'] else 'not given'}",
        "",
    ]
    for table in _tables(data):
        lines += [table.title, *table.as_text(), ""]
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


def load_sweep(path: str | Path) -> dict[str, Any]:
    """Read a ``sweep.json`` of this version or of 0.1.0, which called the other trackers ``peers``.

    Raises:
        DatasetError: no such file, not a sweep, or of a later schema.
    """
    data = read_output(path, "sweep", "compare-trackers", {"rows", "settings"}, (1, SCHEMA))
    others = data.pop("peers", [])
    return {**data, "schema": SCHEMA, "baselines": data.get("baselines", others)}


def render_sweep(data: dict[str, Any], picture: bytes) -> str:
    """The content of ``sweep.json`` and its plot as one self-contained HTML page."""
    settings = json.dumps(data["settings"], indent=1)
    return render("sweep.html", data=data, picture=picture, tables=_tables(data), settings=settings)


def _tables(data: dict[str, Any]) -> list[Table]:
    columns = [*_COLUMNS.values()]
    overall = [
        [row["motion"], f"{row['lambda']:g}", *_cells(row), number(row["switches_per_1000"], ".2f")]
        for row in data["rows"]
    ]
    overall += [
        [baseline["name"], "", *_cells(baseline), number(baseline["switches_per_1000"], ".2f")]
        for baseline in data["baselines"]
    ]
    tables = [Table(["motion", "lambda", *columns, "switches per 1000"], overall, title="All objects")]
    for value in DETAILED:
        for row in data["rows"]:
            if row["lambda"] == value:
                rows = [[name, *_cells(scores)] for name, scores in row["objects"].items()]
                title = f"lambda {value:g}, {row['motion']} motion"
                tables.append(Table(["object", *columns], [*rows, ["overall", *_cells(row)]], 1, title))
    return tables


def _cells(scores: dict[str, Any]) -> list[str]:
    return [str(scores[k]) if isinstance(scores[k], int) else percent(scores[k]) for k in _COLUMNS]
