"""A report as a few lines of text for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .schema import ReportData
from .tables import Table, clips_table, count, events_table, millimetres, number, percent, size_table, ycbineoat_table

# The stages that are told apart in the terminal; the HTML report has them all.
STAGE_NAMES = {"network": "raw", "refined": "refined", "icp": "ICP", "estimated": "verified"}
RATIOS = ("mota", "motp", "idf1", "hota")


def format_table(data: ReportData) -> str:
    """The content of ``report.json`` as a compact table."""
    extra = data["extra"]
    dropped = f", {data['frames_dropped']} dropped" if data["frames_dropped"] else ""
    fps = f", {data['fps']:.2f} frames/s" if data["fps"] else ""
    lines = [f"{data['model']} on {data['source']}: {data['frames']} frames{dropped}{fps}{_told_noise(data)}"]
    if not extra["annotated_frames"]:
        lines += _without_truth(data)
    elif not any(entry["instances"] for entry in data["pose"]["objects"].values()):
        lines.append(f"{_no_instances(data)}; false positives per frame {extra['false_positives_per_frame']:.3f}")
    else:
        lines += [*_poses(data), *_bop(data), *_stages(data), *_masks(data), *_confidence(extra["confidence"])]
        lines += _ycbineoat(extra.get("ycbineoat"))
        lines += _sizes(extra.get("size"))
        lines += _covariance(extra.get("covariance", {}))
        lines += [*_tracking(data), f"false positives per annotated frame {extra['false_positives_per_frame']:.3f}"]
    lines += _events(extra.get("events"))
    lines += _clips(extra.get("clips"))
    if extra.get("camera_warning"):
        lines.append(f"warning: {extra['camera_warning']}")
    if extra.get("poses_cut_short"):
        lines.append(f"poses cut short by pose.time_budget or pose.search.per_frame: {extra['poses_cut_short']}")
    stages = [f"{stage} {t['median']:.0f}" for stage, t in data["latency_ms"].items() if t["median"] is not None]
    if stages:
        lines.append("median ms " + ", ".join(stages))
    if engines := extra.get("engines"):
        lines.append("networks: " + ", ".join(f"{stage} on {engine}" for stage, engine in engines.items()))
    return "\n".join(lines)


def _told_noise(data: ReportData) -> str:
    """That the detections are noisy ground truth, and how far from the truth the tracker was told they are."""
    noise = data["extra"].get("noisy_gt")
    return "" if noise is None else f", detections: noisy-gt, covariance told x {noise['covariance_scale']:.4g}"


def _without_truth(data: ReportData) -> list[str]:
    extra = data["extra"]
    names = {key: entry["name"] for key, entry in data["pose"]["objects"].items()}
    found = [
        [f"  {names[key]}", number(entry["detections_per_frame"])]
        for key, entry in extra["objects"].items()
        if entry["detections"]
    ]
    total = f"no ground truth; detections per frame: {extra['detections_per_frame']:.3f}"
    return [total, *Table(["", ""], found).as_text()[1:]]


def _no_instances(data: ReportData) -> str:
    """That nothing annotated is scored, and why where another object set was annotated."""
    foreign = data["extra"].get("unknown_annotated_objects")
    if not foreign:
        return "no instances"
    known = ", ".join(f"{key} ({entry['name']})" for key, entry in data["pose"]["objects"].items())
    return f"no instances: the annotated objects {', '.join(map(str, foreign))} are not the model's, {known}"


def _poses(data: ReportData) -> list[str]:
    everything = data["extra"]["all_instances"]
    entries: list[Any] = [entry for entry in data["pose"]["objects"].values() if entry["instances"]]
    entries.append(data["pose"]["mean"])
    if everything["instances"]:
        entries.append({"name": "all", "add_s_recall_detected": None, "median_add_m": None} | everything)
    rows = [
        [
            entry["name"],
            count(entry["instances"]),
            count(entry["detected"]),
            percent(entry["add_s_recall"]),
            percent(entry["add_s_recall_detected"]),
            millimetres(entry["median_add_m"]),
        ]
        for entry in entries
    ]
    return Table(["object", "instances", "detected", "recall", "of detected", "median ADD(-S) mm"], rows).as_text()


def _bop(data: ReportData) -> list[str]:
    recalls = data["bop"]["all"] if data["bop"] else {"ar": None}
    if recalls["ar"] is None:
        return []
    parts = f"MSSD {percent(recalls['ar_mssd'])}  MSPD {percent(recalls['ar_mspd'])}"
    return [f"BOP       AR {percent(recalls['ar'])} of MSSD and MSPD, without VSD  ({parts})"]


def _stages(data: ReportData) -> list[str]:
    lines = []
    for label, by_stage in (("all", data["extra"]["all_instances"]), ("mean", data["extra"])):
        stages = by_stage["add_s_recall_by_stage"]
        known = "  ".join(f"{n} {percent(stages[s])}" for s, n in STAGE_NAMES.items() if stages.get(s) is not None)
        if known:
            lines.append(f"stages    {known}  ({label})")
    return lines


def _masks(data: ReportData) -> list[str]:
    after, before = data["segmentation"], data["extra"]["segmentation_before_pose_check"]
    if after["map"] is None:
        return []
    line = f"masks     mAP {percent(after['map'])}  mAP50 {percent(after['map50'])}"
    if before["map"] is not None:
        line += f"  (before the pose check {percent(before['map'])}, {percent(before['map50'])})"
    return [line]


def _confidence(figures: dict[str, Any]) -> list[str]:
    if figures["roc_auc"] is None:
        return []
    counts = f"{figures['right']} right poses against {figures['wrong']} wrong and {figures['absent']} false"
    at = f"precision {percent(figures['precision'])}, recall {percent(figures['recall'])}"
    return [f"confidence  ROC AUC {figures['roc_auc']:.3f} ({counts}); at {figures['threshold']:g} {at}"]


def _ycbineoat(scores: dict[str, Any] | None) -> list[str]:
    return [] if scores is None else ["protocol of YCBInEOAT", *ycbineoat_table(scores).as_text()]


def _sizes(scores: dict[str, Any] | None) -> list[str]:
    """How exact measured sizes are; nothing where all are those of meshes."""
    return [] if scores is None else size_table(scores).as_text()


def _events(events: dict[str, Any] | None) -> list[str]:
    """The scores of the events where their truth is known, else how often each kind was told."""
    if not events:
        return []
    if events["kinds"] is not None:
        return [f"events, temporal IoU {events['min_iou']:g}", *events_table(events["kinds"]).as_text()]
    told = Counter(event["kind"].replace("_", " ") for event in events["told"])
    return [f"events    {', '.join(f'{kind} {n}' for kind, n in told.items())}"] if told else []


def _clips(scores: dict[str, Any] | None) -> list[str]:
    """The clip network beside the rules, where one looked at anything and the truth tells what happened."""
    if not scores:
        return []
    left = f"clips, of which {scores['left_out']} more show a part of an event and are left out"
    return [left, *clips_table(scores).as_text()]


def _covariance(figures: dict[str, Any]) -> list[str]:
    """What the covariances of right poses are worth; an earlier report has nothing of it."""
    known = [
        f"{stage} NEES {f['nees']:.1f}, {percent(f['within_95'])} within 95 %"
        for stage, f in figures.items()
        if f["poses"]
    ]
    return [f"covariance  {'; '.join(known)}  (honest: 6 and 95 %)"] if known else []


def _tracking(data: ReportData) -> list[str]:
    tracking = data["tracking"]
    if data["extra"]["tracking_note"]:
        return [f"tracking  not scored: {data['extra']['tracking_note']}"]
    ratios = "  ".join(f"{name.upper()} {percent(tracking[name])}" for name in RATIOS)
    counts = "  ".join(f"{name} {tracking[name]}" for name in tracking if name not in RATIOS)
    return [f"tracking  {ratios}", f"          {counts}"]
