"""The log of a training, ``log.jsonl``, and its curves."""

from __future__ import annotations

import json
from pathlib import Path

from pose_tracking.core.files import atomic_path


class TrainingLog:
    """Appends records to ``log.jsonl`` in a run folder and draws them into ``loss.png``.

    A record is a flat dictionary with at least ``step``; one with ``loss`` is of the training, others are evaluations.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.path = Path(run_dir) / "log.jsonl"

    def add(self, record: dict[str, float]) -> None:
        """Append one record."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def trim(self, step: int) -> None:
        """Drop the records after `step`: a kill threw those steps away."""
        lines = [line for line in read_log(self.path) if line["step"] <= step] if step else []
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def plot(self) -> None:
        """Draw the curves."""
        plot_log(self.path, self.path.with_name("loss.png"))


def read_log(path: str | Path) -> list[dict[str, float]]:
    """Records of a ``log.jsonl``; [] where there is none. A last line cut short by a kill is left out."""
    path = Path(path)
    records = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def plot_log(log: str | Path, picture: str | Path) -> None:
    """Draw every loss (left) and evaluation value (right) of a log against the step into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = read_log(log)
    losses = [r for r in records if "loss" in r]
    evaluations = [r for r in records if "loss" not in r]
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axis, rows, title in ((left, losses, "training"), (right, evaluations, "evaluation")):
        names = {k for r in rows for k in r} - {"step", "seconds", "lr", "grad_norm"}
        for name in sorted(names):
            points = [(r["step"], r[name]) for r in rows if name in r]
            axis.plot(*zip(*points, strict=True), label=name, marker="o" if rows is evaluations else "")
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
        if names:
            axis.legend(fontsize="small")
    left.set_yscale("log")
    with atomic_path(picture) as path:
        figure.savefig(path, dpi=90)
