"""Identities to learn from in folders of MOTChallenge's layout: boxes with identities, and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from detector_networks import export, squares

from pose_tracking.bundles.authoring.from_detector.new_model import new_detector_model
from pose_tracking.bundles.authoring.from_detector.request import DetectorRequest
from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import DatasetError
from pose_tracking.training.appearance.features import FeatureSource, collect
from pose_tracking.training.appearance.observations import IdentityOptions
from pose_tracking.training.appearance.sequences import recorded_sequences

pytest.importorskip("onnx")


def write_sequence(folder: Path, labels: str = "red\nblue\n", frames: int = 6) -> Path:
    """Two red squares and a blue one on their way, annotated; one line does not count, one class is none of ours."""
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    (folder / "gt" / "labels.txt").write_text(labels)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=10\nseqLength={frames}\nimWidth=640\nimHeight=480\n"
        "imExt=.jpg\n"
    )
    rows = []
    for number in range(1, frames + 1):
        places = [(64 + 16 * number, 48, 0), (512 - 16 * number, 208, 0), (288, 336, 2)]
        picture, boxes = squares(places)
        cv2.imwrite(str(folder / "img1" / f"{number:06d}.jpg"), picture[:, :, ::-1])
        for identity, ((x0, y0, x1, y1), (_, _, color)) in enumerate(zip(boxes, places, strict=True), 1):
            label = 1 if color == 0 else 2
            rows.append(f"{number},{identity},{x0 + 1},{y0 + 1},{x1 - x0},{y1 - y0},1,{label},1")
        rows.append(f"{number},9,10,10,50,50,0,1,1")
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    folder = tmp_path_factory.mktemp("bundle")
    request = DetectorRequest("onnx", export(folder / "squares.onnx", "yolo"), classes=["red", "blue"])
    new_detector_model(request, folder / "b")
    return ModelBundle.load(folder / "b")


def test_frames_and_boxes_that_count(tmp_path: Path, bundle: ModelBundle) -> None:
    for name in ("one", "two"):
        write_sequence(tmp_path / name)
    parts = list(recorded_sequences(tmp_path, 4, bundle.objects))
    assert [len(part) for part in parts] == [4, 4]
    assert [sample.frame.stamp_ns // 100_000_000 for sample in parts[0]] == [0, 2, 3, 5]
    for sample in parts[0]:
        assert sample.objects is not None
        assert [(entry.obj_id, entry.instance_id) for entry in sample.objects] == [(1, 1), (1, 2), (3, 3)]
    first = parts[0][0].objects
    assert first is not None
    assert first[0].box is not None
    np.testing.assert_allclose(first[0].box, [80, 48, 176, 144])


def test_observations_of_identities(tmp_path: Path, bundle: ModelBundle) -> None:
    for name in ("one", "two", "three"):
        write_sequence(tmp_path / "data" / name)
    source = FeatureSource(bundle, replace(IdentityOptions(), frames=4), data=(tmp_path / "data",))
    train, measured = collect(source, tmp_path / "run", progress=False)
    assert len(np.unique(train.identities)) == 6
    assert len(np.unique(measured.identities)) == 3
    assert len(train) == 2 * 3 * 4 * source.options.boxes
    # The features tell red from blue, whatever the noise of the boxes.
    features = train.features[:, :, 0, 0].astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    distance, same = 1 - features @ features.T, train.objects[:, None] == train.objects[None]
    assert distance[same].max() < distance[~same].min()


def test_folders_that_cannot_serve(tmp_path: Path, bundle: ModelBundle) -> None:
    write_sequence(tmp_path / "one")
    source = FeatureSource(bundle, replace(IdentityOptions(), frames=4), data=(tmp_path / "one",))
    with pytest.raises(DatasetError, match=r"one: a single sequence: name another to measure on with --val"):
        collect(source, tmp_path / "run", progress=False)
    write_sequence(tmp_path / "other", labels="cat\ndog\n")
    with pytest.raises(DatasetError, match=r"its classes \(cat, dog\) are none of the model's: red, blue"):
        list(recorded_sequences(tmp_path / "other", 4, bundle.objects))
    (tmp_path / "one" / "gt" / "gt.txt").unlink()
    with pytest.raises(DatasetError, match=r"has no gt/gt.txt"):
        list(recorded_sequences(tmp_path / "one", 4, bundle.objects))
