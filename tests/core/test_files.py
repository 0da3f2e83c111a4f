from __future__ import annotations

import os

import pytest

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import atomic_path, make_directory, write_json, write_text


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "report.tar.gz"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".gz"
        assert temporary.parent == target.parent
        temporary.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == ["report.tar.gz"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text(str(1 / (len(temporary.name) * 0)))
    with (
        pytest.raises(OutputError, match=r"a.txt: cannot be written \(No space left on device\)"),
        atomic_path(tmp_path / "a.txt") as temporary,
    ):
        full_disk(temporary)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def full_disk(path) -> None:
    path.write_text("half")
    raise OSError(28, os.strerror(28))


def test_a_folder_can_be_written_at_once(tmp_path):
    with atomic_path(tmp_path / "out") as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("1")
    assert os.listdir(tmp_path / "out") == ["a"]
    with pytest.raises(OutputError), atomic_path(tmp_path / "out") as temporary:
        temporary.mkdir()
    assert os.listdir(tmp_path) == ["out"]


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/sub"):
        make_directory(tmp_path / "file" / "sub")
    with pytest.raises(OutputError, match="file"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == []
