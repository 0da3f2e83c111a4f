"""Options of the commands' sources that no source could heed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pose_tracking.cli.sources import SourceOptions
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.objects import ObjectSet

OF_SIMULATED = [
    ("--frames", {"frames": 3}),
    ("--rate", {"rate": 5.0}),
    ("--preset", {"preset": "stress"}),
    ("--backgrounds", {"backgrounds": Path("stills")}),
]
OF_RECORDED = [("--split", {"split": "test"}), ("--absent", {"absent": True}), ("--complete", {"complete": True})]


@pytest.mark.parametrize(("name", "given"), OF_SIMULATED)
def test_what_is_of_simulated_sources_is_refused_for_recordings(
    name: str, given: dict[str, Any], demo_objects: ObjectSet, tmp_path: Path
) -> None:
    options = replace(SourceOptions(), **given)
    with pytest.raises(ConfigError, match=f"{name} is for simulated sources, and .*bag is none"):
        options.open([str(tmp_path / "bag")], demo_objects)
    with pytest.raises(DatasetError, match="bag: no such file"):  # one simulated source among them heeds it
        options.open([str(tmp_path / "bag"), "simulated:1"], demo_objects)


def test_the_first_frames_of_a_recording_have_an_option_of_their_own(demo_objects: ObjectSet) -> None:
    with pytest.raises(ConfigError, match="--max-frames takes the first frames"):
        SourceOptions(frames=3).open(["a.zip"], demo_objects)


@pytest.mark.parametrize(("name", "given"), OF_RECORDED)
def test_what_is_of_recordings_is_refused_where_all_is_simulated(
    name: str, given: dict[str, Any], demo_objects: ObjectSet
) -> None:
    with pytest.raises(ConfigError, match=f"{name} is for recorded sources"):
        replace(SourceOptions(), **given).open(["simulated:1", "simulated:2"], demo_objects)


def test_simulated_sources_heed_theirs(demo_objects: ObjectSet) -> None:
    assert len(SourceOptions(frames=3).open(["simulated:1", "simulated:2"], demo_objects)) == 6
