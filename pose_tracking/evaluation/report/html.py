"""A report as one self-contained HTML page."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import plots
from .results import STAGES, Report

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1080px;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em;border-bottom:1px solid #ccc}
table{border-collapse:collapse;margin:.6em 0}td,th{padding:.25em .7em;border-bottom:1px solid #e2e2e2;text-align:right}
td:first-child,th:first-child{text-align:left}tr.mean td{font-weight:600;border-top:2px solid #888}
img{max-width:100%}figure{display:inline-block;margin:.4em;width:31%;vertical-align:top}figcaption{font-size:.8em;color:#666}
.note{color:#666;font-size:.9em}
"""


@dataclass(frozen=True)
class Picture:
    """An encoded image with its media type and caption."""

    data: bytes
    media_type: str
    caption: str

    def tag(self) -> str:
        """The picture as an HTML figure that needs no other file."""
        data, caption = base64.b64encode(self.data).decode(), html.escape(self.caption)
        return (
            f'<figure><img alt="{caption}" src="data:{self.media_type};base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )


def render_html(report: Report, pictures: Sequence[Picture] = (), note: str = "") -> str:
    """The page, with tables, plots and pictures inside it.

    Args:
        report: what to show.
        pictures: example frames.
        note: a sentence to show at the top, e.g. why there is no video.
    """
    data, extra = report.data, report.data["extra"]
    dropped = f", {data['frames_dropped']} dropped" if data["frames_dropped"] else ""
    parts = [
        f"<h1>{html.escape(data['model'])} on {html.escape(data['source'])}</h1>",
        f"<p>{data['frames']} frames{dropped}, {_number(data['fps'], '.2f')} frames a second, "
        f"{extra['annotated_frames']} of them with ground truth; instances less than "
        f"{extra['min_visib']:.0%} visible are ignored.</p>",
    ]
    if note:
        parts.append(f'<p class="note">{html.escape(note)}</p>')
    parts += [
        "<h2>Pose</h2>",
        _pose_table(data),
        html_figure(plots.recall_bars(report)),
        html_figure(plots.add_curves(report)),
    ]
    parts.append(
        '<p class="note">Recall is the share of instances with ADD(-S) below a tenth of the diameter (ADD-S for '
        "symmetric objects), a missed instance counting as a failure; “of detected” leaves misses out, as the "
        "evaluator of DenseFusion does. The median is over detected instances.</p>"
    )
    parts += ["<h3>What each step of the pose stage buys</h3>", _stage_table(report)]
    before = extra["segmentation_before_pose_check"].values()
    parts += [
        "<h2>Segmentation</h2>",
        html_table(
            ["", "mask mAP 0.50:0.95", "mask mAP 0.50"],
            [["detections", *data["segmentation"].values()], ["before the pose check", *before]],
        ),
    ]
    parts += ["<h2>Pose confidence</h2>", _confidence_table(report)]
    tracking = data["tracking"]
    parts += [
        "<h2>Tracking</h2>",
        html_table(list(tracking), [tracking.values()]),
        '<p class="note">Confirmed tracks that were observed in the frame, 2D boxes, IoU 0.5, within each class; motp '
        "is the mean IoU of the matches (1 is best), hota the mean over 19 IoU thresholds.</p>",
    ]
    if extra["tracking_note"]:
        parts.append(f'<p class="note">Not scored: {html.escape(extra["tracking_note"])}.</p>')
    parts.append(html_figure(plots.track_timelines(report)))
    parts += ["<h2>Detections</h2>", _detection_table(report)]
    parts += ["<h2>Latency</h2>", _latency_table(data["latency_ms"]), html_figure(plots.latency_histograms(report))]
    if pictures:
        parts += ["<h2>Frames</h2>", *(picture.tag() for picture in pictures)]
    return html_page(f"{data['model']} on {data['source']}", parts)


def html_page(title: str, parts: Sequence[str]) -> str:
    """A page of HTML parts, the empty ones left out; `title` is plain text."""
    body = "\n".join(part for part in parts if part)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _pose_table(data: dict[str, Any]) -> str:
    head = ["object", "instances", "detected", "recall", "recall of detected", "median ADD(-S) [mm]"]
    entries = [*data["pose"]["objects"].values(), data["pose"]["mean"]]
    rows = [
        [
            entry["name"],
            entry["instances"],
            entry["detected"],
            _number(entry["add_s_recall"], ".1%"),
            _number(entry["add_s_recall_detected"], ".1%"),
            _number(None if entry["median_add_m"] is None else entry["median_add_m"] * 1e3, ".1f"),
        ]
        for entry in entries
    ]
    return html_table(head, rows, last_class="mean")


def _stage_table(report: Report) -> str:
    extra = report.data["extra"]
    names = {
        "network": "most confident pose",
        "refined": "after the refiner",
        "icp": "that after ICP",
        "estimated": "chosen and accepted by the depth check",
        "published": "smoothed by the track",
    }
    entries = [
        (counts.name, extra["objects"][str(obj_id)]["add_s_recall_by_stage"])
        for obj_id, counts in report.tallies.items()
        if counts.instances
    ]
    entries.append(("all instances", extra["all_instances"]["add_s_recall_by_stage"]))
    entries.append(("mean of the objects", extra["add_s_recall_by_stage"]))
    rows = [[name, *(_number(recalls.get(s), ".1%") for s in names)] for name, recalls in entries]
    return html_table(["object", *names.values()], rows, last_class="mean")


def _confidence_table(report: Report) -> str:
    extra = report.data["extra"]
    entries = [(counts.name, extra["objects"][str(obj_id)]["confidence"]) for obj_id, counts in report.tallies.items()]
    entries = [(name, e) for name, e in entries if e["right"] + e["wrong"] + e["absent"]]
    entries.append(("all", extra["confidence"]))
    rows = [
        [
            name,
            *(e[key] for key in ("right", "wrong", "absent")),
            *(_number(e[key], ".3f") for key in ("roc_auc", "roc_auc_wrong", "roc_auc_absent")),
            *(_number(e[key], ".1%") for key in ("precision", "recall")),
        ]
        for name, e in entries
    ]
    head = ["object", "right", "wrong", "not there", "ROC AUC", "against wrong", "against not there"]
    threshold = extra["confidence"]["threshold"]
    note = (
        '<p class="note">Every pose before the confidence was asked; right is ADD(-S) below a tenth of the diameter. '
        f"Precision and recall of the poses with a confidence of at least {threshold:g}.</p>"
    )
    return html_table([*head, "precision", "recall"], rows, last_class="mean") + note


def _detection_table(report: Report) -> str:
    extra = report.data["extra"]
    rows = [
        [
            report.tallies[int(obj_id)].name,
            entry["detections"],
            _number(entry["detections_per_frame"], ".3f"),
            "not annotated" if not entry["annotated"] else entry["false_positives"],
        ]
        for obj_id, entry in extra["objects"].items()
    ]
    table = html_table(["object", "detections", "per frame", "false positives"], rows)
    lines = [f"False positives per annotated frame: {_number(extra['false_positives_per_frame'], '.3f')}."]
    if extra["rejected_detections"]:
        reasons = ", ".join(f"{html.escape(k)} {v}" for k, v in sorted(extra["rejected_detections"].items()))
        lines.append(f"Rejected before tracking: {reasons}.")
    confidence = extra["median_pose_confidence"]
    lines.append(
        f"Median pose confidence: {_number(confidence['hits'], '.2f')} of hits, "
        f"{_number(confidence['false_positives'], '.2f')} of false positives."
    )
    return table + f"<p>{' '.join(lines)}</p>"


def _latency_table(latency: dict[str, dict[str, float | None]]) -> str:
    rows = [
        [stage, _number(latency[stage]["median"], ".1f"), _number(latency[stage]["p99"], ".1f")] for stage in STAGES
    ]
    return html_table(["stage", "median [ms]", "99 % [ms]"], rows)


def html_table(head: Sequence[str], rows: Sequence[Any], last_class: str = "") -> str:
    """A table of plain texts and numbers; None is a dash, and `last_class` the class of the last row."""
    lines = ["<table><tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>"]
    for i, row in enumerate(rows):
        kind = f' class="{last_class}"' if last_class and i == len(rows) - 1 else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _cell(value: Any) -> str:
    return html.escape(_number(value, ".3f") if isinstance(value, float) or value is None else str(value))


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def html_figure(image: bytes | None) -> str:
    """A PNG picture inside the page; nothing where there is none."""
    return "" if image is None else f'<p><img src="data:image/png;base64,{base64.b64encode(image).decode()}"></p>'
