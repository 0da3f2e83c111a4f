"""Parameters of the node on the command line of `run` and `demo`."""

from __future__ import annotations

import pytest

from pose_tracking.cli.run import parse_parameters, run
from pose_tracking.core.errors import ConfigError, DatasetError


def test_parameters_are_parsed_to_their_type():
    assert parse_parameters(["lambda:=1", "classes:=[cat]"]) == {"lambda": 1.0, "classes": ("cat",)}


def test_a_former_name_is_taken_for_the_one_of_today(capsys):
    assert parse_parameters(["carry_missed:=false"]) == {"recover_missed": False}
    assert "carry_missed is now called recover_missed" in capsys.readouterr().err


def test_a_bag_that_cannot_be_played_is_refused_before_the_node_starts(tmp_path, monkeypatch):
    pytest.importorskip("rclpy")
    import pose_tracking.ros.node.main as node

    started: list[object] = []
    monkeypatch.setattr(node, "main", started.append)
    with pytest.raises(DatasetError, match="gone: no such bag"):
        run(bag=str(tmp_path / "gone"))
    (tmp_path / "cut").mkdir()
    with pytest.raises(DatasetError, match=r"cut: not a bag \(no metadata\.yaml\)"):
        run(bag=str(tmp_path / "cut"))
    assert started == []


@pytest.mark.parametrize(
    ("text", "culprit"), [("lambda=1", "name:=value"), ("lamda:=1", "no parameter 'lamda'"), ("lambda:=7", "outside")]
)
def test_what_is_wrong_is_named(text, culprit):
    with pytest.raises(ConfigError, match=culprit):
        parse_parameters([text])
