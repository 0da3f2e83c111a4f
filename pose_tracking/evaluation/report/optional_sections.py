"""Parts of a report that are there where they were asked for, or where there is anything to say."""

from __future__ import annotations

from . import plots
from .results import Report
from .section import Section
from .tables import clips_table, events_table, size_table, ycbineoat_table


def ycbineoat_section(report: Report) -> Section | None:
    """None where it was not asked for."""
    scores = report.data["extra"]["ycbineoat"]
    if scores is None:
        return None
    note = (
        "The pose that the track publishes, in every annotated frame, whatever is seen of the object; a frame without "
        "one is a failure. ADD and ADD-S AUC up to 0.1 m as that data set's evaluation sums them, both for every "
        "object. A stretch is of frames on end under one ID; jitter is the root mean square of how much the error of "
        "the pose changes from one frame to the next."
    )
    return Section("Protocol of YCBInEOAT", [ycbineoat_table(scores)], note=note)


def size_section(report: Report) -> Section | None:
    """None where no size was measured."""
    scores = report.data["extra"].get("size")
    if scores is None:
        return None
    note = "Relative errors; 90 % of them should be within 1.645 of the standard deviations stated beside the sizes."
    return Section("Sizes", [size_table(scores)], note=note)


def events_section(report: Report) -> Section | None:
    """None where nothing was told and nothing happened."""
    events = report.data["extra"].get("events")
    if not events or not (events["told"] or events["happened"]):
        return None
    timeline = plots.event_timelines(report)
    tables = [] if events["kinds"] is None else [events_table(events["kinds"])]
    note = (
        "What each track did, by colour; below it what was told of it (crosses at the end of each event). "
        "An event is right where its track is on that object and the times overlap by an IoU of at least "
        f"{events['min_iou']:g}, both widened by a frame; the delay is from its end until it was told."
    )
    return Section("Events", tables, [] if timeline is None else [timeline], note)


def clips_section(report: Report) -> Section | None:
    """None where no clip network looked at anything, or no truth tells events."""
    scores = report.data["extra"].get("clips")
    if not scores:
        return None
    note = (
        "What the clip network said of the 16 pictures before, and what the rules' events give for the same time. "
        f"{scores['left_out']} clips that show a part of an event only are left out. The rules' events are known up to "
        "half a second later than the network's answer."
    )
    return Section("Clips", [clips_table(scores)], note=note)
