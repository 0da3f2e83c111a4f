"""Tables and pictures of trained clip networks: one of each run, and one beside the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pose_tracking.core.classification import ClassScores
from pose_tracking.core.files import atomic_path, write_json, write_text

from .trainer import SIMULATED


def write_run(scores: ClassScores, folder: Path) -> None:
    """Write ``scores.json``, ``scores.md`` and ``confusion.png`` of one run."""
    write_json(folder / "scores.json", {"trained_on": SIMULATED, **scores.as_dict()})
    write_text(folder / "scores.md", run_table({folder.name: scores}) + "\n")
    draw_confusion(scores, folder / "confusion.png")


def write_comparison(runs: Mapping[str, ClassScores], folder: Path) -> str:
    """Write ``comparison.json`` and ``comparison.md`` of several runs; returns the table."""
    table = run_table(runs)
    rows = {name: scores.as_dict() for name, scores in runs.items()}
    write_json(folder / "comparison.json", {"trained_on": SIMULATED, "runs": rows})
    write_text(folder / "comparison.md", table + "\n")
    return table


def run_table(runs: Mapping[str, ClassScores]) -> str:
    """Precision, recall and F of each class in per cent, a column a run, in Markdown."""
    names = list(runs)
    first = runs[names[0]]
    lines = [
        "| class | clips | " + " | ".join(f"{name}: P / R / F" for name in names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for index, label in enumerate(first.classes):
        cells = [
            " / ".join(_percent(f(index)) for f in (runs[name].precision, runs[name].recall, runs[name].f))
            for name in names
        ]
        lines.append(f"| {label} | {int(first.confusion[index].sum())} | " + " | ".join(cells) + " |")
    total = int(first.confusion.sum())
    lines.append(f"| mean F | {total} | " + " | ".join(_percent(runs[name].macro_f) for name in names) + " |")
    lines.append("| accuracy | | " + " | ".join(_percent(runs[name].accuracy) for name in names) + " |")
    return "\n".join(lines)


def draw_confusion(scores: ClassScores, path: Path) -> None:
    """A picture of the confusion, in shares of what was true."""
    from matplotlib.figure import Figure

    counts = scores.confusion
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 2.5 + 0.55 * len(scores.classes)
    figure = Figure((size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(scores.classes))
    axes.set_xticks(ticks, scores.classes, rotation=60, ha="right")
    axes.set_yticks(ticks, scores.classes)
    axes.set_xlabel("said")
    axes.set_ylabel("true")
    axes.set_title(SIMULATED, fontsize=9)
    for row in ticks:
        for col in ticks:
            if counts[row, col]:
                color = "white" if shares[row, col] > 0.5 else "black"
                axes.text(col, row, str(counts[row, col]), ha="center", va="center", color=color, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.0f}"
