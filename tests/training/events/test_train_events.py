"""Training of the clip network: what the changes do to a clip, the weights of the classes, a run that learns."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from pose_tracking.cli.main import build
from pose_tracking.core.classification import ClassScores
from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.clips import Clip, ClipDataset, ClipWriter
from pose_tracking.networks.clips.classifier import ClipClassifier
from pose_tracking.networks.clips.small import SmallClipNetwork
from pose_tracking.training.events.augmentation import CHANGES, augmented, elastic, flip, salt_and_pepper
from pose_tracking.training.events.data import ClipBatches, SizedClips, classes_of
from pose_tracking.training.events.disturbances import detected, shifted
from pose_tracking.training.events.report import run_table
from pose_tracking.training.events.trainer import class_weights, train_events
from pose_tracking.training.loop import LoopOptions


def _moving(rng, label: str) -> Clip:
    """A bright square that falls, goes aside, or stays."""
    frames = np.full((16, 112, 112, 3), int(rng.integers(60, 120)), np.uint8)
    masks = np.zeros((16, 112, 112), bool)
    x, y = rng.integers(5, 40, 2)
    for t in range(16):
        down, aside = (4 * t, 0) if label == "fell" else (0, 4 * t) if label == "moved" else (0, 0)
        frames[t, y + down : y + down + 18, x + aside : x + aside + 18] = 220
        masks[t, y + down : y + down + 18, x + aside : x + aside + 18] = True
    return Clip(frames, masks, label)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for name, count in (("train", 60), ("val", 16)):
        with ClipWriter(folder / f"{name}.zip") as writer:
            for number in range(count):
                writer.add(_moving(rng, ("fell", "moved", "still", "still")[number % 4]))
    return folder / "train.zip", folder / "val.zip"


def _clip(rng) -> np.ndarray:
    return np.repeat(rng.integers(0, 255, (1, 112, 112, 4), dtype=np.uint8), 16, 0)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_the_same_in_all_pictures(change):
    rng = np.random.default_rng(3)
    changed = 0
    for _ in range(6):
        clip = _clip(rng)
        before = clip.copy()
        after = change(clip, rng)
        assert after.shape == clip.shape
        assert after.dtype == np.uint8
        np.testing.assert_array_equal(clip, before)  # not in place
        np.testing.assert_array_equal(after, np.repeat(after[:1], 16, 0))
        changed += (after != clip).any()
        if change in (elastic, flip):  # what moves pixels moves the mask with them
            continue
        np.testing.assert_array_equal(after[..., 3], clip[..., 3])
    assert changed


@pytest.mark.parametrize("change", [elastic, flip], ids=lambda change: change.__name__)
def test_what_moves_pixels_moves_the_mask_with_them(change):
    rng = np.random.default_rng(4)
    clip = np.repeat(rng.integers(0, 255, (1, 112, 112, 1), dtype=np.uint8), 16, 0).repeat(4, -1)
    moved = 0
    for _ in range(20):
        after = change(clip, rng)
        np.testing.assert_array_equal(after[..., 0], after[..., 3])
        moved += (after != clip).any()
    assert moved


def test_modes(monkeypatch):
    calls: list[int] = []

    def change(number: int, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        calls.append(number)
        return frames

    changes = tuple(partial(change, n) for n in range(6))
    monkeypatch.setattr("pose_tracking.training.events.augmentation.CHANGES", changes)
    rng, clip = np.random.default_rng(0), np.zeros((16, 4, 4, 4), np.uint8)
    counts = {}
    for mode in ("none", "one", "some", "all"):
        numbers = []
        for _ in range(200):
            calls.clear()
            augmented(clip, mode, rng)
            numbers.append(len(calls))
        counts[mode] = numbers
    assert set(counts["none"]) == {0}
    assert set(counts["one"]) == {1}
    assert set(counts["all"]) == {6}
    assert set(counts["some"]) >= {1, 2, 3, 4, 5}
    with pytest.raises(ValueError, match="'most' is not one of"):
        augmented(clip, "most", rng)


def test_flip_is_sideways_and_salt_is_both_black_and_white():
    rng = np.random.default_rng(1)
    clip = _clip(rng)
    turned = [flip(clip, rng) for _ in range(10)]
    assert any((each == clip[:, :, ::-1]).all() for each in turned)
    assert all((each == clip).all() or (each == clip[:, :, ::-1]).all() for each in turned)
    grey = np.full((16, 112, 112, 4), 128, np.uint8)
    values = set(np.unique(salt_and_pepper(grey, rng)[..., :3]))
    assert values == {0, 128, 255}
    edge = np.zeros((16, 112, 112, 4), np.uint8)
    edge[:, :, 56:] = 255
    moved = np.abs(elastic(edge, np.random.default_rng(2)).astype(int) - edge)
    assert moved[:, :, 50:62].any()
    assert not moved[:, :, :45].any()


@pytest.mark.parametrize("side", [56, 112])
def test_masks_are_as_wrong_as_those_of_a_detector_and_never_gone(side):
    clip = np.full((16, side, side, 4), 90, np.uint8)
    clip[..., 3] = 0
    clip[:, side // 4 : side // 2, side // 3 : 2 * side // 3, 3] = 255
    true = (clip[0, ..., 3] > 127).sum()
    found = [detected(clip, np.random.default_rng(seed)) for seed in range(40)]
    assert all((each[..., :3] == 90).all() for each in found)
    sizes = [(each[..., 3] > 127).sum((1, 2)) / true for each in found]
    assert 0.2 < min(map(np.min, sizes)) < 0.6  # a part is hidden
    assert 1.1 < max(map(np.max, sizes)) < 1.9
    assert len({tuple(s) for s in sizes}) > 30
    steady = [each for each, size in zip(found, sizes, strict=True) if np.ptp(size) == 0]
    assert 2 < len(steady) < 25  # the others differ from picture to picture
    for each in steady:
        np.testing.assert_array_equal(each, np.repeat(each[:1], 16, 0))


def test_where_nothing_is_seen_no_mask_is_made_up():
    clip = np.full((16, 56, 56, 4), 90, np.uint8)
    clip[..., 3] = 0
    for seed in range(40):
        assert not detected(clip, np.random.default_rng(seed))[..., 3].any()


def test_a_camera_that_turns_about_moves_picture_and_mask_alike():
    clip = np.zeros((16, 56, 56, 4), np.uint8)
    clip[:, 24:32, 24:32] = 255
    ways = []
    for seed in range(40):
        after = shifted(clip, 0.0, 0.1, np.random.default_rng(seed))
        places = [[axis.mean() for axis in np.nonzero(picture[..., 3] > 127)] for picture in after]
        np.testing.assert_array_equal(after[..., 0] > 127, after[..., 3] > 127)
        ways.append(float(np.ptp(places, axis=0).max()))
    assert sum(way == 0 for way in ways) > 12
    assert sum(way > 1 for way in ways) > 8
    assert max(ways) < 0.1 * 56 * 2 * 1.2


def test_a_square_is_off_by_a_share_of_its_side_in_all_pictures_alike():
    clip = np.zeros((16, 56, 56, 4), np.uint8)
    clip[:, 20:36, 20:36] = 255
    places = []
    for seed in range(40):
        after = shifted(clip, 0.15, 0.0, np.random.default_rng(seed))
        np.testing.assert_array_equal(after, np.repeat(after[:1], 16, 0))
        rows, cols = np.nonzero(after[0, ..., 3] > 127)
        places.append((rows.mean(), cols.mean(), len(rows) ** 0.5))
    rows, cols, size = np.array(places).T
    for middle in (rows, cols):
        assert abs(middle - 27.5).max() < 0.05 * 56 + 0.6
        assert np.ptp(middle) > 3
    assert size.min() >= 16 * 0.85 - 1
    assert size.max() <= 16 * 1.15 + 1
    assert np.ptp(size) > 3


def test_clips_are_read_at_the_size_of_the_network_once(files, monkeypatch):
    dataset = ClipDataset(files[0])
    clips = SizedClips(dataset, 56)
    frames = clips[0]
    assert frames.shape == (16, 56, 56, 4)
    large = SizedClips(dataset, 112)[0]
    np.testing.assert_array_equal(large[..., 3] > 0, dataset[0].masks)
    np.testing.assert_array_equal(large[..., :3], dataset[0].frames)
    means = large.reshape(16, 56, 2, 56, 2, 4).mean((2, 4))
    assert abs(means - frames).max() <= 1
    monkeypatch.setattr(ClipDataset, "__getitem__", lambda self, row: pytest.fail("read twice"))
    np.testing.assert_array_equal(clips[0], frames)


def test_weights_are_the_inverse_frequency():
    assert class_weights(torch.tensor([10, 30, 60])).tolist() == pytest.approx([100 / 30, 100 / 90, 100 / 180])


def test_a_batch_depends_on_its_step_alone(files):
    dataset = ClipDataset(files[0])
    batches = ClipBatches(dataset, classes_of(dataset.labels), 56, 8, "some", 4, 0.1)
    first = [batch for batch, _ in zip(batches(0), range(9), strict=False)]
    clips, targets = next(batches(8))
    np.testing.assert_array_equal(clips, first[8][0])
    assert targets.tolist() == first[8][1].tolist()
    with pytest.raises(DatasetError, match="60 clips are fewer than a batch of 64"):
        ClipBatches(dataset, classes_of(dataset.labels), 56, 64, "some", 4)


def test_scores_by_hand():
    scores = ClassScores.of(("a", "b", "c"), [0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    assert scores.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert scores.precision(0) == 1
    assert scores.recall(0) == pytest.approx(2 / 3)
    assert scores.f(0) == pytest.approx(0.8)
    assert scores.precision(1) == pytest.approx(2 / 3)
    assert np.isnan(scores.f(2))
    assert scores.macro_f == pytest.approx(0.8)
    assert scores.accuracy == pytest.approx(0.8)
    assert "| a | 3 | 100 / 67 / 80 |" in run_table({"x": scores})


@pytest.mark.parametrize("loss", ["ce", "wce"])
def test_a_run_learns_what_moves_how_and_is_exported(tmp_path, files, loss):
    from pose_tracking.training.events.trainer import EventTraining

    torch.set_num_threads(1)
    scores = train_events(
        ClipDataset(files[0]),
        ClipDataset(files[1]),
        tmp_path,
        LoopOptions(steps=45, warmup_steps=4),
        training=EventTraining(loss=loss, augmentation="one", batch=10, learning_rate=4e-3),
        out=tmp_path / "clips.safetensors",
    )
    assert scores is not None
    assert scores.macro_f > 0.8
    found = ClipClassifier.load(tmp_path / "clips.safetensors")
    assert found.classes == ("fell", "moved", "still")
    assert found.trained_on == "trained on simulation only"


def test_the_command_compares_resumes_and_says_what_is_wrong(tmp_path, files):
    train, val = map(str, files)
    run = [
        "train", "events", "--data", train, "--val", val, "--run-dir", str(tmp_path), "--steps", "2", "--batch", "4",
        "--threads", "1", "--augment", "one", "--augment", "all",
    ]  # fmt: skip
    result = CliRunner().invoke(build("train"), run)
    assert result.exit_code == 0, result.output
    assert "ce-one: P / R / F" in result.output
    compared = json.loads((tmp_path / "comparison.json").read_text())
    assert set(compared["runs"]) == {"ce-one", "ce-all"}
    assert compared["trained_on"] == "trained on simulation only"
    one = compared["runs"]["ce-one"]
    assert sum(map(sum, one["confusion"])) == 16
    assert (tmp_path / "ce-one" / "confusion.png").stat().st_size > 2000
    assert (tmp_path / "ce-all" / "scores.md").is_file()
    resumed = CliRunner().invoke(build("train"), [*run, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert json.loads((tmp_path / "comparison.json").read_text())["runs"]["ce-one"] == one


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--loss", "mse"], "loss = 'mse' is not one of ce, wce"),
        (["--augment", "most"], "augmentation = 'most' is not one of none, one, some, all"),
        (["--network", "big"], "architecture = 'big' is not one of small, resnext101"),
        (["--loss", "ce", "--loss", "wce", "--out", "x.safetensors"], "--out names one file, and 2 runs"),
        (["--start", "r.safetensors"], "r.safetensors: missing: no such clip network"),
    ],
)
def test_what_cannot_be_trained_is_one_line(tmp_path, files, change, message):
    train, val = map(str, files)
    run = ["train", "events", "--data", train, "--val", val, "--run-dir", str(tmp_path), "--steps", "1"]
    result = CliRunner().invoke(build("train"), [*run, *change])
    assert result.exit_code != 0
    assert message in str(result.exception)


def test_a_training_may_start_from_an_earlier_one_of_the_same_classes(tmp_path, files):
    train, val = map(str, files)
    run = ["train", "events", "--data", train, "--val", val, "--steps", "1", "--seed", "1"]
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    assert CliRunner().invoke(build("train"), [*run, "--run-dir", str(first)]).exit_code == 0
    start = ["--start", str(first / "clips.safetensors")]
    rate = ["--learning-rate", "1e-7"]  # so that next to nothing is learned
    assert CliRunner().invoke(build("train"), [*run, "--run-dir", str(second), *start, *rate]).exit_code == 0
    weights = [load_file(folder / "clips.safetensors")["fc.weight"] for folder in (first, second)]
    torch.testing.assert_close(*weights, atol=1e-5, rtol=0)
    network = SmallClipNetwork(3)
    named = ClipClassifier(network, ("fell", "moved", "thrown"), "small").metadata()
    save_file(network.state_dict(), tmp_path / "three.safetensors", named)
    refused = [*run, "--run-dir", str(other), "--start", str(tmp_path / "three.safetensors")]
    result = CliRunner().invoke(build("train"), refused)
    assert "is a small network of fell, moved, thrown; the clips want a small one of" in str(result.exception)


def test_the_same_clips_cannot_be_held_out(tmp_path, files):
    run = [
        "train",
        "events",
        "--data",
        str(files[0]),
        "--val",
        str(files[0]),
        "--steps",
        "1",
        "--run-dir",
        str(tmp_path),
    ]
    assert "is among the training data" in str(CliRunner().invoke(build("train"), run).exception)
