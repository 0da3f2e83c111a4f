"""A report as a few lines of text for the terminal."""

from __future__ import annotations

from typing import Any


def format_table(data: dict[str, Any]) -> str:
    """The content of ``report.json`` as a compact table."""
    extra = data["extra"]
    dropped = f", {data['frames_dropped']} dropped" if data["frames_dropped"] else ""
    fps = f", {data['fps']:.2f} frames/s" if data["fps"] else ""
    lines = [f"{data['model']} on {data['source']}: {data['frames']} frames{dropped}{fps}"]
    if extra["annotated_frames"] and not any(counts["instances"] for counts in data["pose"]["objects"].values()):
        lines.append(f"no instances; false positives per frame {extra['false_positives_per_frame']:.3f}")
    elif extra["annotated_frames"]:
        width = max(len(e["name"]) for e in (*data["pose"]["objects"].values(), {"name": "object"}))
        lines.append(
            f"{'object':<{width}} {'instances':>9} {'detected':>8} {'recall':>7} "
            f"{'of detected':>11} {'median ADD(-S)':>14}"
        )
        for entry in (*data["pose"]["objects"].values(), data["pose"]["mean"]):
            if entry["instances"]:
                lines.append(
                    f"{entry['name']:<{width}} {_count(entry['instances']):>9} {_count(entry['detected']):>8} "
                    f"{_percent(entry['add_s_recall']):>7} {_percent(entry['add_s_recall_detected']):>11} "
                    f"{_millimetres(entry['median_add_m']):>14}"
                )
        segmentation, tracking = data["segmentation"], data["tracking"]
        everything = extra["all_instances"]
        if everything["instances"]:
            lines.append(
                f"{'all':<{width}} {_count(everything['instances']):>9} {_count(everything['detected']):>8} "
                f"{_percent(everything['add_s_recall']):>7}"
            )
            names = {"network": "raw", "refined": "refined", "icp": "ICP", "estimated": "verified"}
            for label, by_stage in (("all", everything), ("mean", extra)):
                stages = by_stage["add_s_recall_by_stage"]
                known = "  ".join(f"{n} {_percent(stages[s])}" for s, n in names.items() if stages.get(s) is not None)
                if known:
                    lines.append(f"stages    {known}  ({label})")
        before = extra["segmentation_before_pose_check"]
        lines.append(
            f"masks     mAP {_percent(segmentation['map'])}  mAP50 {_percent(segmentation['map50'])}"
            f"  (before the pose check {_percent(before['map'])}, {_percent(before['map50'])})"
        )
        lines += _confidence(extra["confidence"])
        if extra["tracking_note"]:
            lines.append(f"tracking  not scored: {extra['tracking_note']}")
        else:
            ratios = "  ".join(
                f"{name.upper()} {_percent(tracking[name])}" for name in ("mota", "motp", "idf1", "hota")
            )
            counts = "  ".join(
                f"{name} {tracking[name]}" for name in tracking if name not in ("mota", "motp", "idf1", "hota")
            )
            lines += [f"tracking  {ratios}", f"          {counts}"]
        lines.append(f"false positives per annotated frame {extra['false_positives_per_frame']:.3f}")
    else:
        lines.append(f"no ground truth; detections per frame: {extra['detections_per_frame']:.3f}")
        names = {key: entry["name"] for key, entry in data["pose"]["objects"].items()}
        found = {names[key]: entry for key, entry in extra["objects"].items() if entry["detections"]}
        lines += [f"  {name:<14} {entry['detections_per_frame']:.3f}" for name, entry in found.items()]
    stages = [f"{stage} {t['median']:.0f}" for stage, t in data["latency_ms"].items() if t["median"] is not None]
    if stages:
        lines.append("median ms " + ", ".join(stages))
    return "\n".join(lines)


def _confidence(figures: dict[str, Any]) -> list[str]:
    if figures["roc_auc"] is None:
        return []
    counts = f"{figures['right']} right poses against {figures['wrong']} wrong and {figures['absent']} false"
    at = f"precision {_percent(figures['precision'])}, recall {_percent(figures['recall'])}"
    return [f"confidence  ROC AUC {figures['roc_auc']:.3f} ({counts}); at {figures['threshold']:g} {at}"]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _millimetres(value: float | None) -> str:
    return "-" if value is None else f"{value * 1e3:.1f} mm"


def _count(value: float) -> str:
    return f"{value:g}" if value == int(value) else f"{value:.1f}"
