"""What a soak run leaves behind: a JSON file with figures and verdict, and a picture of the memory over time."""

from __future__ import annotations

import json
import platform
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np


class Report:
    """Figures of one run; `write` may be called again and again, so that a run that is cut off leaves what it has.

    Args:
        name: of the run and its files.
        folder: for the files.
        settings: what was asked for.
    """

    def __init__(self, name: str, folder: Path, **settings: Any) -> None:
        self.name, self.folder = name, folder
        self.started = time.monotonic()
        self.memory: list[tuple[float, float]] = []
        self.figures: dict[str, Any] = {
            "run": name,
            "day": datetime.now(timezone.utc).date().isoformat(),
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
            "settings": settings,
            "verdict": "unfinished",
        }

    def sample_memory(self, megabytes: float) -> None:
        """Note the node's resident memory now."""
        self.memory.append((time.monotonic() - self.started, megabytes))

    def memory_figures(self, warm_up: float = 0.2) -> dict[str, float]:
        """Start and end (medians of a twentieth of the samples) after the first `warm_up` of the time, largest, MB;
        slope of a straight line through them, MB per hour; and the hours it is of."""
        seconds, megabytes = np.array(self.memory).T
        warm = seconds >= seconds[0] + warm_up * (seconds[-1] - seconds[0])
        seconds, megabytes = seconds[warm], megabytes[warm]
        part = max(len(megabytes) // 20, 1)
        span = float(seconds[-1] - seconds[0])
        slope = float(np.polyfit(seconds, megabytes, 1)[0]) * 3600 if span > 0 and len(seconds) > 2 else 0.0
        return {
            "first_mb": round(self.memory[0][1], 1),
            "start_mb": round(float(np.median(megabytes[:part])), 1),
            "end_mb": round(float(np.median(megabytes[-part:])), 1),
            "largest_mb": round(max(m for _, m in self.memory), 1),
            "slope_mb_per_hour": round(slope, 2),
            "hours": round(span / 3600, 3),
        }

    def write(self, verdict: str | None = None, **figures: Any) -> None:
        """Write the files with these figures added."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.figures.update(figures)
        self.figures["seconds"] = round(time.monotonic() - self.started, 1)
        if verdict is not None:
            self.figures["verdict"] = verdict
        if self.memory:
            self.figures["memory"] = self.memory_figures()
            step = max(len(self.memory) // 500, 1)
            self.figures["memory_over_time"] = [[round(s, 1), round(m, 1)] for s, m in self.memory[::step]]
        path = self.folder / f"{self.name}.json"
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.figures, indent=1) + "\n")
        part.replace(path)

    def draw(self) -> Path:
        """Draw the memory over time; the picture's path."""
        from matplotlib.figure import Figure

        seconds, megabytes = np.array(self.memory).T
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(seconds / 60, megabytes, linewidth=1)
        axes.set(xlabel="minutes", ylabel="resident memory of the node, MB", ylim=(0, float(megabytes.max()) * 1.15))
        axes.grid(alpha=0.3)
        path = self.folder / f"{self.name}.png"
        figure.savefig(path, dpi=110)
        return path
