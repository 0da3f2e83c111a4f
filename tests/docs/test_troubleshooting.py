"""Every reason that the code counts or raises has an entry in docs/troubleshooting.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from documents import ROOT

PACKAGE = ROOT / "pose_tracking"
PAGE = ROOT / "docs" / "troubleshooting.md"
# Calls whose first argument is the reason of a drop.
DROPS = {"dropped", "drop", "on_drop"}
# Modules that state their reasons as constants.
CONSTANTS = ("segmentation/gating.py", "pose/fitting/reasons.py", "pipeline/recovery.py")
# Sections whose every entry is a reason.
SECTIONS = (
    "Frames that are dropped",
    "Detections that are rejected",
    "Tracks that are not found without a detection",
)
REASON = re.compile(r"[a-z]+(_[a-z]+)*")


def text_of(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def name_of(function: ast.expr) -> str:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name.lstrip("_")


def drop_reasons(tree: ast.AST) -> Iterator[str | None]:
    """Reasons of the errors about frames, and of the drops that the node counts."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if name_of(node.func) == "FrameError":
            stated = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            given = stated or node.args[1:2]
            yield text_of(given[0]) if given else None
        elif name_of(node.func) in DROPS and node.args:
            yield text_of(node.args[0])


def rejection_reasons(tree: ast.AST) -> Iterator[str | None]:
    """Keys of the counter `rejected` that are written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and name_of(node.value) == "rejected":
            yield text_of(node.slice)


def constant_reasons(tree: ast.Module) -> Iterator[str | None]:
    """Values of upper-case constants at the top of a module, or in an enumeration there."""
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for statement in (statement for body in bodies for statement in body):
        if not isinstance(statement, ast.Assign):
            continue
        target, value = statement.targets[0], statement.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        if all(isinstance(name, ast.Name) and name.id.isupper() for name in names):
            yield from map(text_of, values)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def reasons_in_the_code() -> frozenset[str]:
    found: set[str | None] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = parsed(path)
        found.update(drop_reasons(tree))
        found.update(rejection_reasons(tree))
    for name in CONSTANTS:
        found.update(constant_reasons(parsed(PACKAGE / name)))
    return frozenset(reason for reason in found if reason and REASON.fullmatch(reason))


def documented(*sections: str) -> set[str]:
    """Words that stand as code in the first column of the tables, of some sections or of the whole page."""
    text = PAGE.read_text(encoding="utf-8")
    if sections:
        parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
        text = "\n".join(parts[section] for section in sections)
    rows = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([a-z_]+)`", row)}


def test_every_reason_has_an_entry() -> None:
    assert sorted(reasons_in_the_code() - documented()) == []


def test_no_entry_is_about_a_reason_that_is_no_more() -> None:
    entries = documented(*SECTIONS)
    assert len(entries) > 30
    assert sorted(entries - reasons_in_the_code()) == []


@pytest.mark.parametrize(
    "reason",
    ["depth_unit", "stamp_order", "missing_image", "overtaken", "internal_error", "unmatched", "pose_confidence",
     "duplicate", "size_too_large", "empty_mask", "gone", "moved", "taken"],
)  # fmt: skip
def test_reasons_are_found_wherever_they_are_stated(reason: str) -> None:
    """One or two of each way of stating a reason; where a way changes, the collection above has to follow."""
    assert reason in reasons_in_the_code()


def test_the_stages_that_take_time_have_an_entry() -> None:
    from pose_tracking.pipeline.frame_report import STAGES

    assert set(STAGES) - {"total"} <= documented()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise FrameError('x', reason='one')", "one"),
        ("raise FrameError(f'x {y}', 'two')", "two"),
        ("self._monitor.dropped('three')", "three"),
        ("self._on_drop('four', 'x')", "four"),
        ("report.rejected['five'] += 1", "five"),
    ],
)
def test_a_reason_is_recognised(code: str, reason: str) -> None:
    tree = ast.parse(code)
    assert reason in {*drop_reasons(tree), *rejection_reasons(tree)}
