"""`pose-tracking simulate --clips`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pose_tracking.cli.main import build
from pose_tracking.datasets.clips import ClipDataset


def _run(*options: str):
    return CliRunner().invoke(build("simulate"), ["simulate", "--model", "demo", *options])


def test_the_same_seed_writes_the_same_clips(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        result = _run("--clips", "2", "--clips-of", "people", "--seed", "43010", "--out", str(tmp_path / name))
        assert result.exit_code == 0, result.output
    assert "2 clips: " in result.output
    first, second = ClipDataset(tmp_path / "a.zip"), ClipDataset(tmp_path / "b.zip")
    assert first.labels == second.labels
    for number in range(2):
        np.testing.assert_array_equal(first[number].frames, second[number].frames)
    again = _run("--clips", "2", "--clips-of", "people", "--out", str(tmp_path / "a.zip"))
    assert "exists already" in str(again.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--clips", "2", "--random"), "--clips are 16 frames of their own"),
        (("--clips", "2", "--fps", "10"), "--clips are 16 frames of their own"),
        (("--clips-of", "people"), "--clips-of needs --clips"),
        (("--clips", "2", "--clips-of", "cars"), "clips of 'cars' cannot be simulated"),
    ],
)
def test_what_contradicts_is_one_line(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = _run(*options, "--out", str(tmp_path / "c.zip"))
    assert message in str(result.exception)
    assert not (tmp_path / "c.zip").exists()
