"""Reports on disk stay readable: those of version 0.1.0 too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluation_cases import box_at, make_objects, result, sample, tracked, truth

from pose_tracking.core.errors import DatasetError
from pose_tracking.evaluation import Scorer
from pose_tracking.evaluation.report.schema import ReportData, load_report
from pose_tracking.evaluation.report.text import format_table

# Written by version 0.1.0: `evaluate simulated:71001 --frames 40 --model demo`.
STORED = Path(__file__).parent / "report_schema_1.json"


def test_a_report_of_schema_1_is_read() -> None:
    stored, data = json.loads(STORED.read_text()), load_report(STORED)
    assert (stored["schema"], data["schema"]) == (1, 2)
    assert set(data) == set(ReportData.__annotations__)
    assert data["pose"] == stored["pose"]
    assert data["bop"] is None
    assert data["summary"] == {"worst_object": None, "worst_frame": None}
    assert data["extra"]["objects"]["1"]["median_rotation_deg"] is None
    text = format_table(data)
    assert "MOTA 92.1%" in text
    assert "BOP" not in text


def test_a_report_of_today_comes_back_as_it_was(tmp_path: Path) -> None:
    scorer = Scorer(make_objects(tmp_path))
    scorer.add(sample(0, [truth(1, box_at(0))]), result(0, [tracked(1, box_at(0))]))
    data = scorer.report("made up", "test").data
    (tmp_path / "report.json").write_text(json.dumps(data))
    assert load_report(tmp_path / "report.json") == data


def test_keys_of_schema_1_are_all_there_still(tmp_path: Path) -> None:
    data = Scorer(make_objects(tmp_path)).report("made up", "test").data
    stored = json.loads(STORED.read_text())

    def keys(value: object) -> set[str]:
        return set(value) if isinstance(value, dict) else set()

    assert keys(stored) <= keys(data)
    assert keys(stored["extra"]) <= keys(data["extra"])
    assert keys(stored["extra"]["objects"]["1"]) <= keys(data["extra"]["objects"]["1"])
    assert keys(stored["pose"]["mean"]) == keys(data["pose"]["mean"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a report"),
        ("[]", "not a report of `pose-tracking evaluate`"),
        ('{"schema": 2}', "not a report of `pose-tracking evaluate`"),
        ('{"schema": 3, "pose": {}, "tracking": {}, "extra": {}}', "schema 3; this version reads 1 and 2"),
    ],
)
def test_what_is_no_report_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        load_report(tmp_path / "report.json")
    with pytest.raises(DatasetError, match=r"other\.json: cannot be read"):
        load_report(tmp_path / "other.json")
