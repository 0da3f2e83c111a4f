"""docs/architecture.md names what is there: every package, and the calls that a frame goes through, each downwards."""

from __future__ import annotations

import importlib
import re
import sys
from functools import reduce
from typing import Any

import pytest
from documents import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CALL = re.compile(r"^( *)\d+\. `([a-z_]+)\.([\w.]+)`", re.MULTILINE)
INDENT = 4


def layers() -> dict[str, int]:
    """Package to its layer, 0 is the highest, as import-linter checks them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rows,) = (each["layers"] for each in contracts if each["name"] == "Packages only import those below them")
    return {
        name.strip().removeprefix("pose_tracking."): depth for depth, row in enumerate(rows) for name in row.split("|")
    }


def calls() -> list[tuple[int, str, str]]:
    """(depth, package, name below it) of each line of the list."""
    return [(len(indent) // INDENT, package, name) for indent, package, name in CALL.findall(PAGE)]


def resolve(package: str, name: str) -> Any:
    """What ``package.name`` is: the longest part of it that is a module is imported, the rest are attributes."""
    parts = ["pose_tracking", package, *name.split(".")]
    for length in range(len(parts), 1, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[length:], module)
    raise AssertionError(f"{package}.{name}: no such module")


@pytest.mark.parametrize("call", sorted({f"{package} {name}" for _, package, name in calls()}))
def test_every_call_exists(call: str) -> None:
    assert callable(resolve(*call.split()))


def test_every_call_goes_to_the_same_package_or_a_lower_one() -> None:
    depth_of = layers()
    callers: dict[int, str] = {}
    assert len(calls()) > 20
    for depth, package, name in calls():
        if depth:
            caller = callers[depth - 1]
            assert package == caller or depth_of[package] > depth_of[caller], f"{caller} calls {package}.{name}"
        callers[depth] = package


def test_the_page_has_every_package_in_the_order_of_the_layers() -> None:
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|", PAGE, re.MULTILINE)
    named = [re.findall(r"`(\w+)`", row) for row in rows]
    packages = {path.parent.name for path in (ROOT / "pose_tracking").glob("*/__init__.py")}
    assert {name for row in named for name in row} == packages == set(layers())
    depths = [{layers()[name] for name in row} for row in named]
    assert [len(row) for row in depths] == [1] * len(depths)
    in_page_order = [depth for row in depths for depth in row]
    assert in_page_order == sorted(in_page_order)
