"""The pages about options: the table made from the code has them all, the prose those that can change at run time."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml
from documents import ROOT

from pose_tracking.bundles.bundle_config import BundleConfig


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "scripts" / "docs_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options(cls: type = BundleConfig, path: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Place in ``bundle.yaml`` and field of every option."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        where = f"{path}.{field.name}" if path else field.name
        if dataclasses.is_dataclass(hints[field.name]):
            yield from options(hints[field.name], where)
        else:
            yield where, field


def test_the_table_has_every_option_with_default_range_and_help(hooks: ModuleType) -> None:
    text = hooks.on_page_markdown((ROOT / "docs" / "options.md").read_text(), page=None)
    sections = dict(re.findall(r"^#{2,4} (.+?)\n(.*?)(?=^#{2,4} |\Z)", text, re.MULTILINE | re.DOTALL))
    known = dict(options())
    assert len(known) > 80
    for where, field in known.items():
        group, _, name = where.rpartition(".")
        (row,) = re.findall(rf"^\| `{name}` \|.*$", sections[f"`{group}`" if group else "Top level"], re.MULTILINE)
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 5
        assert (cells[3] == "yes") == bool(field.metadata.get("runtime"))
        if isinstance(field.default, (bool, int, float)):
            assert yaml.safe_load(cells[1].strip("`")) == field.default
        assert cells[4].endswith(".")


def test_a_former_name_is_in_the_table(hooks: ModuleType) -> None:
    assert "Formerly `carry_missed`" in hooks.options()


def test_other_pages_are_left_alone(hooks: ModuleType) -> None:
    assert hooks.on_page_markdown("# Page\n", page=None) == "# Page\n"


def test_the_page_on_tuning_has_every_option_that_can_change_at_run_time() -> None:
    text = (ROOT / "docs" / "tuning.md").read_text()
    assert [where for where, field in options() if field.metadata.get("runtime") and f"`{where}`" not in text] == []


@pytest.mark.parametrize("page", ["tuning.md", "troubleshooting.md", "tracking.md", "camera.md"])
def test_options_that_are_named_exist(page: str) -> None:
    groups = {where.split(".")[0] for where, _ in options() if "." in where} - {"objects"}
    text = (ROOT / "docs" / page).read_text()
    named = {name for name in re.findall(r"`((?:\w+\.)+\w+)`", text) if name.split(".")[0] in groups}
    places = {where for where, _ in options()}
    places |= {where.rpartition(".")[0] for where in places}
    assert sorted(named - places) == []


def test_the_changelog_has_every_former_name_beside_the_new_one() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    renamed = {field.metadata["formerly"]: field.name for _, field in options() if field.metadata.get("formerly")}
    assert len(renamed) >= 5
    missing = {
        old: new for old, new in renamed.items() if not any(old in line and new in line for line in lines)
    }  # fmt: skip
    assert missing == {}
