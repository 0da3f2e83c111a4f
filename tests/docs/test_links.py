"""The link checker: it finds what points to nothing, and finds nothing in this repository."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from documents import ROOT


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_links", ROOT / "scripts" / "check_links.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_link_of_the_documentation_is_broken(checker: ModuleType) -> None:
    files = checker.markdown_files(ROOT)
    assert {"README.md", "CONTRIBUTING.md", "troubleshooting.md"} <= {file.name for file in files}
    assert [problem for file in files for problem in checker.broken_links(file)] == []


def test_broken_links_are_named_with_file_and_line(checker: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading, `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[one](other.md) [two](other.md#a-heading-code) [three](#here) [four](https://example.org/x)\n"
        "```\n[in code](nowhere.md)\n```\n`[in code](nowhere.md)` [five](missing.md)\n![six](other.md#no-heading)\n"
    )
    problems = list(checker.broken_links(page))
    assert [problem.removeprefix(f"{page}:") for problem in problems] == [
        "6: missing.md: there is no such file",
        "7: other.md#no-heading: other.md has no such heading",
    ]


@pytest.mark.parametrize(
    ("heading", "name"),
    [("Your camera", "your-camera"), ("lambda: motion against appearance", "lambda-motion-against-appearance"),
     ("What `new-model` does", "what-new-model-does"), ("0.2.0", "020")],
)  # fmt: skip
def test_names_of_headings(checker: ModuleType, heading: str, name: str) -> None:
    assert checker.slug(heading) == name
