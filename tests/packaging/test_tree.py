"""What may be in the repository: sizes of the model bundles, and no path of the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1_000_000
MACHINE_PATH = re.compile(r"(?<![\w.$}~])/(work|root|home|Users)/[\w.]")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Files that are under version control, or that would be if added."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in files if path.is_file()]


def test_no_file_is_too_large(tracked: list[Path]) -> None:
    assert {path.name: path.stat().st_size for path in tracked if path.stat().st_size > 15 * MEGABYTE} == {}


@pytest.mark.parametrize("name", ["demo", "linemod"])
def test_a_bundle_is_at_most_24_megabytes(tracked: list[Path], name: str) -> None:
    files = [path for path in tracked if path.is_relative_to(ROOT / "models" / name)]
    assert any(path.name == "bundle.yaml" for path in files)
    assert sum(path.stat().st_size for path in files) <= 24 * MEGABYTE


def test_no_file_names_a_path_of_a_machine(tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        content = path.read_bytes()
        if b"\0" not in content and (match := MACHINE_PATH.search(content.decode(errors="replace"))):
            found.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert found == []


@pytest.mark.parametrize("text", ["see /{}/x", "'/{}/me'", "path=/{}/.cache"])
@pytest.mark.parametrize("folder", ["work", "root", "home"])
def test_a_machine_path_is_recognised(text: str, folder: str) -> None:
    assert MACHINE_PATH.search(text.format(folder))


@pytest.mark.parametrize("text", ["$HOME/work/x", "my/work/x", "https://example.org/home/x", "~/home/x"])
def test_a_relative_path_is_not_a_machine_path(text: str) -> None:
    assert not MACHINE_PATH.search(text)
