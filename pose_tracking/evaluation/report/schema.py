"""What stands in ``report.json``, and how such a file is read again, also one of version 0.1.0."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypedDict, cast

from pose_tracking.core.errors import DatasetError

SCHEMA = 2
READABLE = (1, 2)
STAGES = ("segmentation", "pose", "tracking", "total")
OBJECT_KEYS = ("name", "instances", "detected", "add_s_recall", "add_s_recall_detected", "median_add_m")


class ObjectEntry(TypedDict):
    """ADD(-S) of one object: recall below a tenth of the diameter with misses as failures, and of those detected."""

    name: str
    instances: int
    detected: int
    add_s_recall: float | None
    add_s_recall_detected: float | None
    median_add_m: float | None


class MeanEntry(TypedDict):
    """Unweighted mean over the objects that have instances."""

    name: str
    instances: float | None
    detected: float | None
    add_s_recall: float | None
    add_s_recall_detected: float | None
    median_add_m: float | None


class PoseSection(TypedDict):
    """By object id, as text."""

    objects: dict[str, ObjectEntry]
    mean: MeanEntry


class BopSection(TypedDict):
    """BOP's average recalls by MSSD and MSPD (`metrics.bop`), of all objects together and of each by its id."""

    all: dict[str, Any]
    objects: dict[str, dict[str, Any]]


class Summary(TypedDict):
    """The object of the lowest recall and the frame in which most went wrong; None where none can be told."""

    worst_object: dict[str, Any] | None
    worst_frame: dict[str, Any] | None


class ReportData(TypedDict):
    """The content of ``report.json``, schema 2.

    Schema 1 is the same without ``summary``, ``bop``, and ``median_translation_m`` and ``median_rotation_deg`` of each
    object under ``extra``.
    """

    schema: int
    source: str
    model: str
    frames: int
    frames_dropped: int
    summary: Summary
    pose: PoseSection
    bop: BopSection | None
    segmentation: dict[str, float | None]
    tracking: dict[str, float | int | None]
    latency_ms: dict[str, dict[str, float | None]]
    fps: float | None
    extra: dict[str, Any]


def read_output(path: str | Path, kind: str, command: str, keys: set[str], readable: Collection[int]) -> dict[str, Any]:
    """Read a JSON file that a command has written.

    Args:
        path: the file.
        kind: what it holds, for people.
        command: which sub-command writes it.
        keys: what it has to have; without ``schema`` it is of schema 1.
        readable: schemas that can be read.

    Raises:
        DatasetError: no such file, not of that kind, or of another schema.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not a {kind} ({error})") from error
    if not isinstance(data, dict) or not keys <= set(data):
        raise DatasetError(f"{path}: not a {kind} of `pose-tracking {command}`")
    schema = data.get("schema", 1)
    if schema not in readable:
        readable_ones = " and ".join(map(str, readable))
        raise DatasetError(f"{path}: a {kind} of schema {schema}; this version reads {readable_ones}")
    return data


def load_report(path: str | Path) -> ReportData:
    """Read a ``report.json`` of schema 1 or 2; what schema 1 does not have is None.

    Raises:
        DatasetError: no such file, not a report, or of a later schema.
    """
    data = read_output(path, "report", "evaluate", {"schema", "pose", "tracking", "extra"}, READABLE)
    if data["schema"] == 1:
        data |= {"schema": SCHEMA, "summary": {"worst_object": None, "worst_frame": None}, "bop": None}
        for entry in data["extra"]["objects"].values():
            entry |= {"median_translation_m": None, "median_rotation_deg": None}
    return cast(ReportData, data)
