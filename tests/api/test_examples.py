"""The examples of the README and of the Python API page run as they are printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, code_blocks

README = ROOT / "README.md"
API_PAGE = ROOT / "docs" / "python-api.md"
FRAMES = 3  # a track is confirmed at its second detection


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recording that the README makes, only shorter."""
    (command,) = (block for block in code_blocks(README, "bash") if block.startswith("pose-tracking simulate"))
    arguments = shlex.split(command, comments=True)
    assert arguments[0] == "pose-tracking"
    arguments[arguments.index("--frames") + 1] = str(FRAMES)
    folder = tmp_path_factory.mktemp("example")
    subprocess.run(
        [sys.executable, "-m", "pose_tracking.cli", *arguments[1:]],
        cwd=folder, check=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}, timeout=250,
    )  # fmt: skip
    return folder


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(compile(code, "example", "exec"), {"__name__": "__main__"})


def test_the_example_of_the_readme(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = code_blocks(README, "python")
    assert len(example.splitlines()) <= 18
    run(example, folder, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "ms, rejected: {" in line]) == FRAMES
    poses = [line for line in lines if re.search(r" s  \w+ \d+: [+-]\d\.\d{3} [+-]\d\.\d{3} [+-]\d\.\d{3} m$", line)]
    assert len(poses) >= 3  # several objects are in view, and found twice


def test_the_examples_of_the_api_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = code_blocks(API_PAGE, "python")
    assert len(examples) >= 4
    run("\n".join(examples), folder, monkeypatch)
    assert re.search(r"^CONFIRMED|^TENTATIVE", capsys.readouterr().out, re.MULTILINE)
