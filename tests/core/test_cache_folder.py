from __future__ import annotations

from pathlib import Path

import pytest

from pose_tracking.core.cache_folder import cache_folder


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POSE_TRACKING_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("networks") == tmp_path / "pose_tracking" / "networks"
    monkeypatch.setenv("POSE_TRACKING_CACHE", str(tmp_path / "own"))
    assert cache_folder("networks") == tmp_path / "own" / "networks"


def test_without_a_home_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("POSE_TRACKING_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder("networks") is None
