"""Compiled networks on disk: whole or absent, and never in the way."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from pose_tracking.networks.engines import cache
from pose_tracking.networks.engines.cache import ModelCache, digest, shared_cache
from pose_tracking.pose.networks.refiner import PoseRefineNet


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    kept = ModelCache(tmp_path / "deep" / "folder")
    assert kept.read("a") is None
    kept.write("a", b"graph")
    assert ModelCache(tmp_path / "deep" / "folder").read("a") == b"graph"
    assert kept.read("b") is None


@pytest.mark.parametrize("content", [b"", b"short", b"0" * 32 + b"graph"])
def test_a_damaged_file_counts_as_absent_and_goes(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept = ModelCache(tmp_path)
    kept.write("a", b"graph")
    (tmp_path / "a").write_bytes(content)
    assert kept.read("a") is None
    assert "damaged" in caplog.text
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = shared_cache(tmp_path / "file" / "cache")
    assert kept.read("a") is None
    kept.write("a", b"graph")
    kept.write("b", b"graph")
    assert shared_cache(tmp_path / "file" / "cache") is kept
    (line,) = caplog.messages  # once, not for every network
    assert "POSE_TRACKING_CACHE" in line
    assert kept.read("a") is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def to_full_disk(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:4])
        with open("/dev/full", "wb", buffering=0) as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", to_full_disk)
    kept = ModelCache(tmp_path)
    kept.write("a", b"graph")
    assert "No space left" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_the_least_recently_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_FILES", 3)
    kept = ModelCache(tmp_path)
    for age, key in enumerate("cba"):
        kept.write(key, b"graph")
        os.utime(tmp_path / key, (1000 - age, 1000 - age))
    kept.read("a")  # the oldest, but used now
    kept.write("d", b"graph")
    assert {file.name for file in tmp_path.iterdir()} == {"a", "c", "d"}


def test_other_weights_sizes_and_versions_are_other_keys() -> None:
    torch.manual_seed(0)
    network = PoseRefineNet(2)
    key = digest(network, "1.0")
    assert key == digest(network, "1.0")
    assert key != digest(network, "1.1")
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-6
    assert key != digest(network, "1.0")


def test_another_forward_pass_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Network(nn.Module):
        """Of this package, as far as the digest can tell."""

    Network.__module__ = "pose_tracking.networks.made_up"
    source = tmp_path / "made_up.py"
    monkeypatch.setattr(cache.inspect, "getfile", lambda _: str(source))
    source.write_text("def forward(x): return x")
    key = digest(Network())
    source.write_text("def forward(x): return 2 * x")
    assert digest(Network()) != key


def test_an_unreadable_file_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a").mkdir()  # a folder where the file should be: reading fails for root, too
    with caplog.at_level(logging.WARNING):
        assert ModelCache(tmp_path).read("a") is None
    assert "cannot be read" in caplog.text
