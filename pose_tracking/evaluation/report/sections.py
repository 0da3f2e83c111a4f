"""The parts of the HTML report: what was measured as tables and plots, and why the rest is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import plots
from .optional_sections import clips_section, events_section, size_section, ycbineoat_section
from .results import Report
from .schema import STAGES, ReportData
from .section import LeftOut, Section
from .tables import UNKNOWN, Table, count, millimetres, number, percent

STAGE_NAMES = {
    "network": "most confident pose",
    "refined": "after the refiner",
    "icp": "that after ICP",
    "estimated": "chosen and accepted by the depth check",
    "published": "smoothed by the track",
}
TRACKING_NAMES = {
    "mota": "MOTA", "motp": "MOTP", "idf1": "IDF1", "hota": "HOTA", "id_switches": "ID switches",
    "fragmentations": "fragmentations", "fp": "false positives", "fn": "misses", "mt": "mostly tracked",
    "ml": "mostly lost",
}  # fmt: skip
TRACKING_RATIOS = ("mota", "motp", "idf1", "hota")


@dataclass(frozen=True)
class Figure:
    """A number of the summary."""

    label: str
    value: str
    note: str = ""


def figures(data: ReportData) -> list[Figure]:
    """The handful of numbers that stand first; those that were not measured are left out."""
    mean, tracking, extra = data["pose"]["mean"], data["tracking"], data["extra"]
    bop = data["bop"]["all"] if data["bop"] else {"ar": None}
    switches = tracking["id_switches"]
    total = data["latency_ms"]["total"]["median"]
    found = [
        Figure("ADD(-S) recall", percent(mean["add_s_recall"]), "mean of the objects"),
        Figure("average recall", percent(bop["ar"]), "MSSD and MSPD, as BOP"),
        Figure("mask mAP", percent(data["segmentation"]["map"]), "IoU 0.50 to 0.95"),
        Figure("IDF1", percent(tracking["idf1"]), f"{switches} ID {'switch' if switches == 1 else 'switches'}"),
        Figure("HOTA", percent(tracking["hota"])),
        Figure("false positives", number(extra["false_positives_per_frame"], ".2f"), "per annotated frame"),
        Figure("latency", UNKNOWN if total is None else f"{total:.0f} ms", "median of a frame"),
    ]
    if not extra["annotated_frames"]:
        found.insert(0, Figure("detections", number(extra["detections_per_frame"], ".2f"), "per frame"))
    return [figure for figure in found if figure.value != UNKNOWN]


def sections(report: Report) -> tuple[list[Section], list[LeftOut]]:
    """What was measured, and what was not."""
    made = [part(report) for part in PARTS]
    return [p for p in made if isinstance(p, Section)], [p for p in made if isinstance(p, LeftOut)]


def _poses(report: Report) -> Section | LeftOut:
    data = report.data
    if data["pose"]["mean"]["instances"] is None:
        annotated = data["extra"]["annotated_frames"]
        return LeftOut("Poses", "the frames have no instance that counts" if annotated else "no frame is annotated")
    bop = data["bop"] or {"objects": {}, "all": {}}
    head = [
        "object", "instances", "detected", "ADD(-S) recall", "of detected", "median ADD(-S) [mm]",
        "median shift [mm]", "median turn [°]", "AR", "AR MSSD", "AR MSPD",
    ]  # fmt: skip

    def row(entry: Any, further: dict[str, Any], recalls: dict[str, Any]) -> list[str]:
        return [
            entry["name"],
            count(entry["instances"]),
            count(entry["detected"]),
            percent(entry["add_s_recall"]),
            percent(entry["add_s_recall_detected"]),
            millimetres(entry["median_add_m"]),
            millimetres(further.get("median_translation_m")),
            number(further.get("median_rotation_deg"), ".1f"),
            *(percent(recalls.get(key)) for key in ("ar", "ar_mssd", "ar_mspd")),
        ]

    present = {key: entry for key, entry in data["pose"]["objects"].items() if entry["instances"]}
    rows = [row(e, data["extra"]["objects"][key], bop["objects"].get(key, {})) for key, e in present.items()]
    everything = {"name": "all instances", "add_s_recall_detected": None, "median_add_m": None}
    if data["extra"]["all_instances"]["instances"]:
        rows.append(row(everything | data["extra"]["all_instances"], {}, bop["all"]))
    rows.append(row(data["pose"]["mean"], {}, {}))
    table = Table(head, rows, totals=len(rows) - len(present)).known
    drawn = [plot for plot in (plots.recall_bars(report), plots.add_curves(report)) if plot is not None]
    note = (
        "Recall is the share of instances with ADD(-S) below a tenth of the diameter (ADD-S for symmetric objects), a "
        "missed instance counting as a failure; “of detected” leaves misses out, as the evaluator of DenseFusion does. "
        "Medians are over detected instances. AR is the mean of AR MSSD and AR MSPD, matched and averaged as in the "
        "BOP challenge of 2019; VSD is not computed, so it is not BOP's own AR."
    )
    if "ADD(-S) recall" not in table.head:
        note = "ADD(-S), MSSD and MSPD are left out: the model has no meshes to measure them with."
    return Section("Poses", [table], drawn, note)


def _stages(report: Report) -> Section | LeftOut:
    title, extra = "What each step of the pose stage buys", report.data["extra"]
    known = [s for s, recall in extra["all_instances"]["add_s_recall_by_stage"].items() if recall is not None]
    if not [stage for stage in known if stage != "published"]:
        return LeftOut(title, "only the published poses are at hand, not those on the way to them")
    entries = [
        (counts.name, extra["objects"][str(obj_id)]["add_s_recall_by_stage"])
        for obj_id, counts in report.counts.items()
        if counts.instances
    ]
    entries.append(("all instances", extra["all_instances"]["add_s_recall_by_stage"]))
    entries.append(("mean", extra["add_s_recall_by_stage"]))
    rows = [[name, *(percent(recalls.get(s)) for s in STAGE_NAMES)] for name, recalls in entries]
    note = (
        "ADD(-S) recall, misses counted as failures; the steps before the smoothing count the frames in which the "
        "detector ran, and ICP the instances that were not at once where their track expected them."
    )
    return Section(title, [Table(["object", *STAGE_NAMES.values()], rows, totals=2).known], note=note)


def _masks(report: Report) -> Section | LeftOut:
    data = report.data
    after, before = data["segmentation"], data["extra"]["segmentation_before_pose_check"]
    rows = [
        [name, percent(scores["map"]), percent(scores["map50"])]
        for name, scores in (("detections", after), ("before the pose check", before))
        if scores["map"] is not None
    ]
    if not rows:
        reason = "masks of the ground truth or of the detections are not at hand"
        return LeftOut("Masks", reason if data["extra"]["annotated_frames"] else "no frame is annotated")
    return Section("Masks", [Table(["", "mAP 0.50:0.95", "mAP 0.50"], rows)])


def _confidence(report: Report) -> Section | LeftOut:
    extra = report.data["extra"]
    entries = [(counts.name, extra["objects"][str(obj_id)]["confidence"]) for obj_id, counts in report.counts.items()]
    entries = [(name, e) for name, e in entries if e["right"] + e["wrong"] + e["absent"]]
    if not entries:
        return LeftOut("Pose confidence", "no pose from before the confidence was asked is at hand with ground truth")
    entries.append(("all", extra["confidence"]))
    rows = [
        [
            name,
            *(str(e[key]) for key in ("right", "wrong", "absent")),
            *(number(e[key]) for key in ("roc_auc", "roc_auc_wrong", "roc_auc_absent")),
            *(percent(e[key]) for key in ("precision", "recall")),
        ]
        for name, e in entries
    ]
    head = ["object", "right", "wrong", "not there", "ROC AUC", "against wrong", "against not there"]
    note = (
        "Every pose before the confidence was asked; right is ADD(-S) below a tenth of the diameter. Precision and "
        f"recall of the poses with a confidence of at least {extra['confidence']['threshold']:g}."
    )
    return Section("Pose confidence", [Table([*head, "precision", "recall"], rows, totals=1).known], note=note)


def _covariance(report: Report) -> Section | LeftOut:
    found = {stage: of for stage, of in report.data["extra"].get("covariance", {}).items() if of["poses"]}
    if not found:
        return LeftOut("Covariance of the poses", "no right pose with a covariance is at hand")
    rows = [
        [STAGE_NAMES[stage], count(of["poses"]), number(of["nees"], ".1f"), percent(of["within_95"])]
        for stage, of in found.items()
    ]
    note = (
        "NEES is the squared error of a right pose in units of its stated covariance: 6 on average where that is "
        "honest, more where it claims too much; the last column is then 95%."
    )
    return Section("Covariance of the poses", [Table(["", "poses", "mean NEES", "within 95%"], rows)], note=note)


def _tracking(report: Report) -> Section | LeftOut:
    tracking, note = report.data["tracking"], report.data["extra"]["tracking_note"]
    timeline = plots.track_timelines(report)
    drawn = [] if timeline is None else [timeline]
    cells = [percent(v) if name in TRACKING_RATIOS else count(v) for name, v in tracking.items()]
    if note or tracking["mota"] is None:
        reason = f"Identities are not scored: {note or 'no annotated instance counts'}."
        return Section("Tracking", plots=drawn, note=reason) if drawn else LeftOut("Tracking", reason)
    head = ["", *(TRACKING_NAMES[name] for name in tracking)]
    how = (
        "Confirmed tracks that were observed in the frame, 2D boxes, IoU 0.5, within each class. MOTP is the mean IoU "
        "of the matches (1 is best), HOTA the mean over 19 IoU thresholds."
    )
    return Section("Tracking", [Table(head, [["tracks", *cells]])], drawn, how)


def _detections(report: Report) -> Section | LeftOut:
    extra = report.data["extra"]
    seen = {report.counts[int(key)].name: e for key, e in extra["objects"].items() if e["detections"]}
    if not seen:
        return LeftOut("Detections", "nothing was detected")
    rows = [
        [
            name,
            count(e["detections"]),
            number(e["detections_per_frame"], ".2f"),
            count(e["false_positives"]) if e["annotated"] else "not annotated",
        ]
        for name, e in seen.items()
    ]
    lines = []
    if extra["false_positives_per_frame"] is not None:
        lines.append(f"False positives per annotated frame: {extra['false_positives_per_frame']:.3f}.")
    if extra["rejected_detections"]:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(extra["rejected_detections"].items()))
        lines.append(f"Rejected before tracking: {reasons}.")
    medians = {kind.replace("_", " "): v for kind, v in extra["median_pose_confidence"].items() if v is not None}
    if medians:
        lines.append(f"Median pose confidence: {', '.join(f'{v:.2f} of {kind}' for kind, v in medians.items())}.")
    never = [c.name for c in report.counts.values() if not c.detections and not c.instances]
    if never:
        lines.append(f"Neither annotated nor detected: {', '.join(never)}.")
    return Section(
        "Detections", [Table(["object", "detections", "per frame", "false positives"], rows)], (), " ".join(lines)
    )


def _latency(report: Report) -> Section | LeftOut:
    latency = report.data["latency_ms"]
    rows = [
        [stage, number(latency[stage]["median"], ".1f"), number(latency[stage]["p99"], ".1f")]
        for stage in STAGES
        if latency[stage]["median"] is not None
    ]
    if not rows:
        return LeftOut("Latency", "the results hold no times")
    plot = plots.latency_histograms(report)
    engines = report.data["extra"].get("engines") or {}
    note = "; ".join(f"the networks of the {stage} ran on {engine}" for stage, engine in engines.items())
    table = Table(["stage", "median [ms]", "99 % [ms]"], rows)
    return Section("Latency", [table], [] if plot is None else [plot], f"{note.capitalize()}." if note else "")


PARTS: tuple[Callable[[Report], Section | LeftOut | None], ...] = (
    _poses, ycbineoat_section, size_section, _stages, _masks, _confidence, _covariance, _tracking, events_section,
    clips_section, _detections, _latency,
)  # fmt: skip
