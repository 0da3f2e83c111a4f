"""Search results as files: in every layout, of crops and of whole frames, back to the message in the bag."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_samples import write_bag
from ball_gallery import BallRecording, MeanColor
from ball_scene import ball_tracker

from pose_tracking.core.errors import ConfigError, OutputError
from pose_tracking.datasets import open_source
from pose_tracking.gallery.export import export
from pose_tracking.gallery.ingest import CameraSettings, ingest
from pose_tracking.gallery.query import parse_query
from pose_tracking.gallery.recordings import fingerprint_of
from pose_tracking.gallery.search import Result, search
from pose_tracking.gallery.sql_store import SqlStore
from pose_tracking.gallery.store import Recording
from pose_tracking.gallery.stores import open_store

OFFSET = 100.0  # s, of the clock


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Two balls for 8 frames."""
    return write_bag(tmp_path / "bag", list(BallRecording(8)))


@pytest.fixture
def store(tmp_path: Path, bag: Path) -> SqlStore:
    store = open_store(tmp_path / "gallery.db", make=True)
    embedder: Any = MeanColor()
    known = {"model": "balls", "camera": [None, None, OFFSET, None]}
    recording = Recording("left", str(bag), fingerprint_of(bag), known)
    settings = CameraSettings(clock_offset_ns=round(OFFSET * 1e9))
    ingest(open_source(bag), ball_tracker(), store, embedder, recording, settings)
    return store


def found(store: SqlStore) -> list[Result]:
    results = search(store, parse_query(""))
    assert {r.sighting.class_name for r in results} == {"red_ball", "blue_ball"}
    return results


def is_of(picture: np.ndarray, name: str) -> bool:
    """Whether a picture (BGR) is of the colour of a ball."""
    blue, _, red = picture.reshape(-1, 3).mean(0)
    return bool(red > blue) == (name == "red_ball")


def test_a_folder_leads_to_the_messages_of_the_bag(store: SqlStore, bag: Path, tmp_path: Path) -> None:
    report = export(store, found(store), tmp_path / "out", frames=True)
    assert report.notes == []
    rows = json.loads((tmp_path / "out" / "sightings.json").read_text())
    samples = list(open_source(bag))
    for row in rows:
        assert row["recording"] == str(bag)
        for crop in row["crops"]:
            frame = crop["frame"]
            assert frame["topic"] == "/camera/color/image_raw"
            assert frame["message"] == frame["frame"]
            sample = samples[frame["frame"]].frame
            assert frame["stamp_ns"] == sample.stamp_ns == round((crop["stamp_s"] - OFFSET) * 1e9)
            drawn = cv2.imread(str(tmp_path / "out" / frame["picture"]))
            assert drawn is not None
            x0, y0, x1, y1 = (int(v) for v in crop["box"])
            assert is_of(drawn[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2], row["class"])
            assert drawn[y0 - 1, (x0 + x1) // 2].tolist() == [0, 64, 255]
            # But for the boxes it is the frame.
            changed = (drawn[..., ::-1] != sample.color).any(-1)
            assert 0 < changed.sum() < 0.05 * changed.size


@pytest.mark.parametrize("frames", [False, True])
def test_coco(store: SqlStore, bag: Path, tmp_path: Path, frames: bool) -> None:
    from pycocotools.coco import COCO

    out = tmp_path / "out"
    export(store, found(store), out, "coco", frames)
    coco = COCO(str(out / "labels.json"))
    assert {c["name"] for c in coco.loadCats(coco.getCatIds())} == {"red_ball", "blue_ball"}
    files = {image["file_name"] for image in coco.loadImgs(coco.getImgIds())}
    assert files == {path.name for path in (out / "data").iterdir()}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        (image,) = coco.loadImgs([annotation["image_id"]])
        picture = cv2.imread(str(out / "data" / image["file_name"]))
        assert picture is not None
        assert picture.shape[:2] == (image["height"], image["width"])
        mask = coco.annToMask(annotation) > 0
        assert mask.sum() == annotation["area"]
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        assert (columns.min(), rows.min()) == (x, y)
        assert (columns.max() + 1, rows.max() + 1) == (x + width, y + height)
        (category,) = coco.loadCats([annotation["category_id"]])
        assert is_of(picture[mask], category["name"])
        assert annotation["attributes"]["camera"] == "left"
        if frames:
            assert (image["recording"], image["message"]) == (str(bag), image["frame"])
    if frames:
        # Two balls in one frame are two annotations of one picture.
        assert len(coco.getImgIds()) < len(coco.getAnnIds())


def test_fiftyone(store: SqlStore, bag: Path, tmp_path: Path) -> None:
    """The layout of `FiftyOneImageDetectionDataset`, as FiftyOne documents it."""
    out = tmp_path / "out"
    export(store, found(store), out, "fiftyone", frames=True)
    assert sorted(path.name for path in out.iterdir()) == ["data", "labels.json"]
    content = json.loads((out / "labels.json").read_text())
    assert sorted(content) == ["classes", "labels"]
    assert content["classes"] == ["blue_ball", "red_ball"]
    assert set(content["labels"]) == {path.stem for path in (out / "data").iterdir()}
    for name, detections in content["labels"].items():
        picture = cv2.imread(str(out / "data" / f"{name}.png"))
        assert picture is not None
        sides = np.array([picture.shape[1], picture.shape[0]] * 2)
        for detection in detections:
            assert set(detection) == {"label", "bounding_box", "confidence", "attributes"}
            x, y, width, height = (np.array(detection["bounding_box"]) * sides).round().astype(int)
            inside = picture[y + height // 3 : y + 2 * height // 3, x + width // 3 : x + 2 * width // 3]
            assert is_of(inside, content["classes"][detection["label"]])
            assert 0 <= detection["confidence"] <= 1
            assert detection["attributes"]["recording"] == str(bag)


def test_recordings_that_are_gone_or_have_changed_are_noted(store: SqlStore, bag: Path, tmp_path: Path) -> None:
    results = found(store)
    (bag / "more").write_text("x")
    report = export(store, results, tmp_path / "changed", "coco", frames=True)
    assert "its content has changed" in report.notes[0]
    assert "crops are missing" in report.notes[0]
    bag.rename(tmp_path / "elsewhere")
    report = export(store, results, tmp_path / "gone", frames=True)
    assert "is no longer there" in report.notes[0]
    assert report.pictures == sum(len(store.crops(r.sighting.id)) for r in results)
    rows = json.loads((tmp_path / "gone" / "sightings.json").read_text())
    assert all("frame" not in crop for row in rows for crop in row["crops"])


def test_names_that_are_no_file_names(store: SqlStore, tmp_path: Path) -> None:
    """Nothing that someone has called a class or a recording becomes a path."""
    results = [
        Result(replace(r.sighting, class_name="../../<b>'; DROP TABLE x; --"), r.recording) for r in found(store)
    ]
    for layout in ("folder", "coco", "fiftyone"):
        export(store, results, tmp_path / "deep" / layout, layout)
    written = {path.relative_to(tmp_path) for path in (tmp_path / "deep").rglob("*") if path.is_file()}
    assert written
    assert all("DROP" not in str(path) and "<" not in str(path) for path in written)


def test_what_cannot_be_written(store: SqlStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--export-format yolo: expected one of folder, coco, fiftyone"):
        export(store, found(store), tmp_path / "out", "yolo")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(OutputError, match="exists already"):
        export(store, found(store), tmp_path / "full")
    assert not (tmp_path / "out").exists()
