"""Tables of text, and how numbers are written in them."""

from __future__ import annotations

from pathlib import Path

from pose_tracking.evaluation.report.tables import UNKNOWN, Table, count, millimetres, number, percent, write_csv

TABLE = Table(["object", "recall", "AR", "n"], [["brick", "50.0%", UNKNOWN, "4"], ["all", "7.0%", UNKNOWN, "-"]], 1)


def test_numbers_are_written_alike_and_unknown_ones_are_a_dash() -> None:
    assert (percent(0.1234), number(0.5), number(2.0, ".1f"), millimetres(0.0123)) == ("12.3%", "0.500", "2.0", "12.3")
    assert (count(3), count(3.0), count(2.75)) == ("3", "3", "2.8")
    assert {percent(None), number(None), count(None), millimetres(None)} == {UNKNOWN}


def test_columns_without_a_value_are_left_out() -> None:
    known = TABLE.known
    assert list(known.head) == ["object", "recall", "n"]
    assert [list(row) for row in known.rows] == [["brick", "50.0%", "4"], ["all", "7.0%", "-"]]
    assert known.totals == 1
    assert list(Table(["object", "x"], []).known.head) == ["object"]


def test_text_is_aligned() -> None:
    assert TABLE.known.as_text() == ["object  recall  n", "brick    50.0%  4", "all       7.0%  -"]


def test_totals_are_told_apart() -> None:
    body, totals = TABLE.body_and_totals
    assert [row[0] for row in body] == ["brick"]
    assert [row[0] for row in totals] == ["all"]
    body, totals = Table(["a"], [["1"], ["2"]]).body_and_totals
    assert (len(body), len(totals)) == (2, 0)


def test_csv_is_quoted(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("a", "b"), [["x,y", 1], ['"', 2.5]])
    assert (tmp_path / "a.csv").read_text() == 'a,b\n"x,y",1\n"""",2.5\n'
