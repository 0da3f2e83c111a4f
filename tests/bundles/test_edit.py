"""Editing options of a bundle.yaml in place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import read_options
from pose_tracking.bundles.edit import set_options
from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.core.yaml_files import read_yaml

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
    ("text", "edited"),
    [
        ("pose: {hypotheses: 3}\n", "pose: {hypotheses: 3, verification: {bias: 2.0}}\n"),
        (
            "pose: {verification: {max_rays: 300}} # flow\nname: 'x'\n",
            "pose: {verification: {max_rays: 300, bias: 2.0}} # flow\nname: 'x'\n",
        ),
        ("{}\n", "pose:\n  verification:\n    bias: 2.0\n"),
        ("# nothing yet", "# nothing yet\npose:\n  verification:\n    bias: 2.0\n"),
        ("pose:\n# next\nname: x\n", "pose:\n  verification:\n    bias: 2.0\n# next\nname: x\n"),
        (
            '# top\n--- # begins\nname: "x"\nobjects:\n  meshes: null\n  download: ~\n',
            '# top\n--- # begins\nname: "x"\nobjects:\n  meshes: null\n  download: ~\n'
            "pose:\n  verification:\n    bias: 2.0\n",
        ),
        (
            "pose:\n    hypotheses: 3\n    verification:  # v\n        # of mine\n        weights:\n          - 1.0\n"
            "    # below\n# the end\n",
            "pose:\n    hypotheses: 3\n    verification:  # v\n        # of mine\n        weights:\n          - 1.0\n"
            "        bias: 2.0\n    # below\n# the end\n",
        ),
    ],
)
def test_style_and_comments_stay(tmp_path: Path, text: str, edited: str) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_text(text)
    set_options(file, SECTION, {"bias": 2.0})
    assert file.read_text() == edited


def test_line_ends_and_byte_order_mark_stay(tmp_path: Path) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: x # c\r\npose:\r\n  hypotheses: 3\r\n")
    set_options(file, SECTION, {"bias": 1e-5})
    assert file.read_bytes() == (
        b"\xef\xbb\xbfname: x # c\r\npose:\r\n  hypotheses: 3\r\n  verification:\r\n    bias: 1.0e-05\r\n"
    )
    assert read_options(read_yaml(file), tmp_path).pose.verification.bias == 1e-5


@pytest.mark.parametrize(
    "text",
    [
        "pose: {verification: {bias: 1.0, # of a flow mapping\n  max_rays: 300}}\n",
        "pose:\n  verification: &all\n    bias: 1.0\n  icp: *all\n",
        "pose:\n  hypotheses: 3\npose:\n  hypotheses: 4\n",
    ],
    ids=["a comment would be lost", "an alias would change too", "a section twice"],
)
def test_what_cannot_be_edited_without_harm_is_left_alone(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pose_tracking.bundles.bundle_config.read_options", lambda values, path: None)
    file = tmp_path / "bundle.yaml"
    file.write_text(text)
    with pytest.raises(BundleError, match="cannot be edited in place") as caught:
        set_options(file, SECTION, {"bias": 2.0})
    assert "\n" not in str(caught.value)
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"pose:\n\thypotheses: 3\n", "line 2: found character '\\t' that cannot start any token"),
        (b"pose: [\n", "line 2: "),
        (b"name: \xff\n", "no UTF-8 text: invalid start byte at byte 6"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "bundle.yaml"
    file.write_bytes(content)
    for read in (lambda: set_options(file, SECTION, {"bias": 2.0}), lambda: ModelBundle.load(tmp_path)):
        with pytest.raises(BundleError) as caught:
            read()
        assert str(caught.value).startswith(f"{file}: cannot be read ({words}")
        assert "\n" not in str(caught.value)
    assert file.read_bytes() == content


def test_the_short_form_of_the_segmenter_is_kept(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("MODEL:\n  ROI_HEADS:\n    NUM_CLASSES: 3\n")
    file = tmp_path / "bundle.yaml"
    file.write_text(HEAD + "segmenter: detectron2\n")
    set_options(file, SECTION, {"bias": 1.0})
    assert file.read_text().startswith(HEAD + "segmenter: detectron2\n")
    file.write_text(HEAD + "segmenter: yolo\n")
    with pytest.raises(ConfigError, match="yolo"):
        set_options(file, SECTION, {"bias": 1.0})
