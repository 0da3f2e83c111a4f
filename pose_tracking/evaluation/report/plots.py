"""Plots of an evaluation, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.events import Activity
from pose_tracking.visualization.colors import color_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .results import Report, TrackRow

MAX_TIMELINES = 60
ACTIVITY_COLORS = {
    Activity.UNKNOWN: "0.8",
    Activity.STILL: "tab:green",
    Activity.MOVING: "tab:blue",
    Activity.CARRIED: "tab:orange",
    Activity.FALLING: "tab:red",
}
MARKED_EVENTS = ("placed", "fell", "knocked_over", "left", "hidden")  # the others are seen from the colours


def add_curves(report: Report) -> bytes | None:
    """Recall over the ADD(-S) threshold in shares of the diameter, a line an object; None without errors."""
    drawn = [c for c in report.counts.values() if c.instances and c.has_mesh]
    if not drawn:
        return None
    figure = _figure(7, 3.6)
    axes = figure.subplots()
    thresholds = np.linspace(0, 0.3, 151)
    for counts in drawn:
        errors = np.asarray(counts.errors.get("scored", []), float) / counts.diameter
        axes.plot(thresholds, (errors[:, None] < thresholds).sum(0) / counts.instances, label=counts.name)
    axes.axvline(0.1, color="0.5", linestyle=":", linewidth=1)
    axes.set(xlabel="ADD(-S) threshold / diameter", ylabel="share of instances", xlim=(0, 0.3), ylim=(0, 1.02))
    axes.legend(fontsize=8, loc="lower right")
    return _png(figure)


def recall_bars(report: Report) -> bytes | None:
    """Recall of each object, misses counted and left out; None where nothing could be scored."""
    entries = [
        (e["name"], e["add_s_recall"], e["add_s_recall_detected"] or 0.0)
        for e in report.data["pose"]["objects"].values()
        if e["add_s_recall"] is not None
    ]
    if not entries:
        return None
    figure = _figure(7, 3)
    axes = figure.subplots()
    x = np.arange(len(entries))
    axes.bar(x - 0.2, [recall for _, recall, _ in entries], 0.4, label="of all instances")
    axes.bar(x + 0.2, [recall for _, _, recall in entries], 0.4, label="of detected instances")
    axes.set(ylim=(0, 1.02), ylabel="ADD(-S) < 0.1 d")
    axes.set_xticks(x, [name for name, _, _ in entries], rotation=30, ha="right")
    axes.legend(fontsize=8, loc="lower right")
    return _png(figure)


def latency_histograms(report: Report) -> bytes | None:
    """Histogram of the time each stage took; None where none was measured."""
    stages = [(name, times) for name, times in report.stage_times.items() if times]
    if not stages:
        return None
    figure = _figure(9, 2.4)
    for axes, (name, times) in zip(np.atleast_1d(figure.subplots(1, len(stages))), stages, strict=True):
        axes.hist(np.asarray(times) * 1e3, bins=min(40, max(5, len(times) // 3)))
        axes.set(title=name, xlabel="ms")
    return _png(figure)


def track_timelines(report: Report) -> bytes | None:
    """When each confirmed track was seen, a row a track; None without tracks."""
    seen: dict[tuple[int, int], list[int]] = {}
    names: dict[tuple[int, int], str] = {}
    frames = {key: i for i, key in enumerate(report.frames)}
    for row in report.tracks:
        key = (row.scene_id, row.track_id)
        seen.setdefault(key, []).append(frames[row.scene_id, row.image_id])
        names[key] = f"{row.name} #{row.track_id}"
    if not seen:
        return None
    longest = sorted(seen, key=lambda k: -len(seen[k]))[:MAX_TIMELINES]
    shown = sorted(longest, key=lambda k: (names[k].split(" #")[0], k))
    figure = _figure(9, 0.8 + 0.2 * len(shown))
    axes = figure.subplots()
    for y, key in enumerate(shown):
        color = tuple(c / 255 for c in color_of(key[1]))
        axes.scatter(seen[key], np.full(len(seen[key]), y), marker="|", s=40, color=color)
    axes.set_yticks(range(len(shown)), [names[key] for key in shown], fontsize=7)
    hidden = len(seen) - len(shown)
    axes.set(xlabel="frame" + (f" ({hidden} shorter tracks left out)" if hidden else ""), xlim=(-1, len(frames)))
    axes.invert_yaxis()
    return _png(figure)


def event_timelines(report: Report) -> bytes | None:
    """What each confirmed track did over time, a row a track, and the events told of it; None without tracks."""
    rows: dict[tuple[int, int], list[TrackRow]] = {}
    for row in report.tracks:
        rows.setdefault((row.scene_id, row.track_id), []).append(row)
    if not rows:
        return None
    shown = sorted(sorted(rows, key=lambda k: -len(rows[k]))[:MAX_TIMELINES])
    first = {scene: min(r.stamp_ns for r in report.tracks if r.scene_id == scene) for scene, _ in shown}
    figure = _figure(11, 1.2 + 0.3 * len(shown))
    axes = figure.subplots()
    for activity, color in ACTIVITY_COLORS.items():
        points = [
            ((r.stamp_ns - first[key[0]]) * 1e-9, y)
            for y, key in enumerate(shown)
            for r in rows[key]
            if r.activity == activity
        ]
        if points:
            seconds, heights = np.transpose(points)
            axes.scatter(seconds, heights, marker="|", s=60, color=color, label=activity.name.lower())
    for event in (report.data["extra"].get("events") or {"told": ()})["told"]:
        key = event["scene_id"], event["identity"]
        if key in shown and event["kind"] in MARKED_EVENTS:
            at = (event["end_ns"] - first[key[0]]) * 1e-9, shown.index(key) + 0.3
            axes.scatter(*at, marker="x", s=18, color="black", linewidths=0.8)
            axes.annotate(event["kind"].replace("_", " "), at, fontsize=6, rotation=20)
    axes.set_yticks(range(len(shown)), [f"{rows[k][0].name} #{k[1]}" for k in shown], fontsize=7)
    axes.set(xlabel="seconds")
    axes.legend(fontsize=7, loc="upper right", ncols=len(ACTIVITY_COLORS))
    axes.invert_yaxis()
    return _png(figure)


def sweep_curves(rows: Sequence[Mapping[str, Any]], baselines: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """IDF1 and ID switches over lambda, a line for each kind of motion and a level one for each other tracker.

    Args:
        rows: scores with ``motion`` and ``lambda``, see `evaluation.sweep`.
        baselines: scores with ``name``.
    """
    figure = _figure(10, 3.8)
    for axes, metric, label in zip(
        figure.subplots(1, 2), ("idf1", "id_switches"), ("IDF1", "ID switches"), strict=True
    ):
        # Lines may lie on one another: the later ones are thinner.
        for i, motion in enumerate(dict.fromkeys(row["motion"] for row in rows)):
            points = sorted((row["lambda"], row[metric]) for row in rows if row["motion"] == motion)
            known = [(x, y) for x, y in points if y is not None]
            style = {"marker": "osd"[i % 3], "markersize": 9 - 2 * i, "linewidth": 3.5 - i}
            axes.plot([x for x, _ in known], [y for _, y in known], label=f"{motion} motion", **style)
        for i, baseline in enumerate(baselines):
            if baseline[metric] is not None:
                dashes = ("--", ":", "-.")[i % 3]
                axes.axhline(baseline[metric], color="0.3", linestyle=dashes, linewidth=1.2, label=baseline["name"])
        axes.set(xlabel="lambda (share of motion)", ylabel=label, xlim=(-0.02, 1.02))
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=len(labels))
    return _png(figure)


def reliability(confidences: Float, right: Bool, bins: int = 10) -> bytes:
    """How often (N,) poses of each confidence are right, and how the confidences of right and other poses spread."""
    figure = _figure(8, 3.4)
    left, spread = figure.subplots(1, 2)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(confidences, edges) - 1, 0, bins - 1)
    filled = [b for b in range(bins) if (place == b).any()]
    means = [confidences[place == b].mean() for b in filled]
    shares = [right[place == b].mean() for b in filled]
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    left.plot(means, shares, marker="o")
    for x, y, b in zip(means, shares, filled, strict=True):
        left.annotate(str(int((place == b).sum())), (x, y), textcoords="offset points", xytext=(4, -10), fontsize=7)
    left.set(xlabel="confidence", ylabel="share of right poses", xlim=(0, 1), ylim=(0, 1.02))
    spread.hist([confidences[right], confidences[~right]], bins=edges, label=["right", "wrong or not there"])
    spread.set(xlabel="confidence", ylabel="poses", yscale="symlog")
    spread.legend(fontsize=8, loc="upper center")
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    # The object interface: pyplot would look for a display and keep the figures.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
