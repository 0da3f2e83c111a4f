"""Editing options of a bundle.yaml in place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pose_tracking.bundles.edit import set_options
from pose_tracking.core.errors import BundleError, ConfigError

SECTION = ("pose", "verification")
HEAD = "schema: 1\nname: test  # a comment\n"


TEXTS = {
    "nothing of it": HEAD,
    "other options": HEAD + "pose:\n  hypotheses: 3  # few\n\n# the end\ntracking:\n  motion_weight: 0.3\n",
    "both": f"{HEAD}pose:\n  verification:\n    bias: -3.0 # old\n    weights: [1, 2,\n      3]\n  hypotheses: 2\n",
    "a list": f"{HEAD}pose:\n    verification:\n        weights:\n        - 1\n        - 2\n    # inner comment\n",
    "an empty section": f"{HEAD}pose:\n",
    "an empty section in one": f"{HEAD}pose:\n  verification: # a comment of its own\ntracking:\n  max_age: 12\n",
    "comments around": f"# mine\n{HEAD}pose: # and its options\n  hypotheses: 3\n\n  verification:\n    bias: 0.9\n",
    "no last newline": HEAD + "pose:\n  verification:\n    max_rays: 300\n    # trailing",
}


@pytest.mark.parametrize("text", list(TEXTS.values()), ids=list(TEXTS))
def test_sets_the_options_and_nothing_else(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_text(text)
    wanted = yaml.safe_load(text)
    wanted["pose"] = wanted.get("pose") or {}
    old = wanted["pose"].get("verification") or {}
    wanted["pose"]["verification"] = {**old, "bias": -1.5, "weights": [0.5, -2.0]}
    set_options(file, SECTION, {"bias": -1.5, "weights": [0.5, -2.0]})
    assert yaml.safe_load(file.read_text()) == wanted
    assert [t.split("#")[1] for t in text.splitlines() if "#" in t] == [
        t.split("#")[1] for t in file.read_text().splitlines() if "#" in t
    ]
    before = file.read_text()
    set_options(file, SECTION, {"bias": -1.5, "weights": [0.5, -2.0]})
    assert file.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle.yaml"]


def test_what_would_not_load_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_text(HEAD)
    with pytest.raises(ConfigError, match="bias"):
        set_options(file, SECTION, {"bias": 1e6})
    with pytest.raises(ConfigError, match="unknown option 'biass'"):
        set_options(file, SECTION, {"biass": 1.0})
    assert file.read_text() == HEAD
    file.write_text("- 1\n")
    with pytest.raises(BundleError, match="not a mapping"):
        set_options(file, SECTION, {"bias": 1.0})
    file.write_text("pose: {verification: {bias: 1.0}}\n")
    set_options(file, SECTION, {"bias": 2.0})
    assert yaml.safe_load(file.read_text()) == {"pose": {"verification": {"bias": 2.0}}}


@pytest.mark.parametrize(
    "text", ["pose: {hypotheses: 3}\n", "pose: {verification: {max_rays: 300}}\nname: x\n", "{}\n"]
)
def test_a_layout_that_cannot_be_edited_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_text(text)
    with pytest.raises(BundleError, match="write its pose.verification section as a block"):
        set_options(file, SECTION, {"bias": 2.0})
    assert file.read_text() == text


def test_the_short_form_of_the_segmenter_is_kept(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("MODEL:\n  ROI_HEADS:\n    NUM_CLASSES: 3\n")
    file = tmp_path / "bundle.yaml"
    file.write_text(HEAD + "segmenter: detectron2\n")
    set_options(file, SECTION, {"bias": 1.0})
    assert file.read_text().startswith(HEAD + "segmenter: detectron2\n")
    file.write_text(HEAD + "segmenter: yolo\n")
    with pytest.raises(ConfigError, match="yolo"):
        set_options(file, SECTION, {"bias": 1.0})
