"""The benchmark measures what it says: exact numbers of objects, and the published computation beside ours."""

from __future__ import annotations

import re
import shutil
import time
import weakref
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_cases import CAMERA, NAMES, box_at, make_objects, mask_of, truth
from presence import objects_of
from safetensors.torch import save_file

from pose_tracking.benchmarks import worker
from pose_tracking.benchmarks.frames import INDEPENDENT, SEQUENCE, render_sequence, render_stills
from pose_tracking.benchmarks.machine import peak_memory_mb
from pose_tracking.benchmarks.networks import PUBLISHED, predict_one_by_one, published_forward, random_predictor
from pose_tracking.benchmarks.pipeline import BenchmarkConfig, format_benchmark, run_benchmark
from pose_tracking.benchmarks.worker import ExactCount, add_truth
from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import BundleError, ConfigError, OutputError, PoseTrackingError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.datasets.packed import PackedDataset, PackedWriter
from pose_tracking.pose.hypotheses.predictor import build_estimator
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.segmentation.config import SegmentationConfig


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return make_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def random_bundle(tmp_path_factory) -> Path:
    """A bundle whose networks have the right shape and have learned nothing: enough to take its time."""
    from pose_tracking.pose.networks.refiner import PoseRefineNet
    from pose_tracking.segmentation.mask_rcnn import build_mask_rcnn

    folder = tmp_path_factory.mktemp("bundle") / "random"
    make_objects_folder = folder / "meshes"
    make_objects_folder.mkdir(parents=True)
    make_objects(make_objects_folder)
    shutil.move(make_objects_folder / "models_info.json", folder / "models_info.json")
    names = ", ".join(f"{k}: {v}" for k, v in NAMES.items())
    (folder / "bundle.yaml").write_text(f"schema: 1\nname: random\nobjects: {{names: {{{names}}}, meshes: meshes}}\n")
    bundle = ModelBundle.load(folder, require_weights=False)
    torch.manual_seed(0)
    save_file(build_mask_rcnn(bundle.config.segmentation, 2).state_dict(), bundle.segmentation_weights)
    save_file(build_estimator(bundle.config.pose.encoder, 2).state_dict(), bundle.pose_weights)
    save_file(PoseRefineNet(2).state_dict(), bundle.refiner_weights)
    return folder


def test_published_forward_gives_the_same_numbers():
    torch.manual_seed(0)
    network = PoseNet(3).eval()
    image, points = torch.randn(2, 3, 96, 96), torch.randn(2, 40, 3)
    choose, index = torch.randint(0, 96 * 96, (2, 40)), torch.tensor([2, 0])
    with torch.inference_mode():
        ours = network(image, points, choose, index)
        rotation, translation, confidence, embedding = published_forward(network, image, points, choose, index)
    torch.testing.assert_close(rotation, ours.rotation, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(translation, ours.translation, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(confidence, ours.confidence[..., 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(embedding, ours.embedding)


def test_one_by_one_and_batched_find_the_same_poses(objects, tmp_path):
    """Otherwise their times could not be compared."""
    rng = np.random.default_rng(0)
    color = rng.integers(0, 255, (CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    depth = rng.uniform(0.55, 0.6, (CAMERA.height, CAMERA.width)).astype(np.float32)
    frame = RGBDFrame(color, depth, CAMERA)
    instances = add_truth(
        Instances.empty(CAMERA.height, CAMERA.width), [truth(1, box_at(20)), truth(2, box_at(90, 50, 30))], 2
    )
    predictor = random_predictor(PUBLISHED, objects, tmp_path, "cpu")
    batched = predictor.predict(frame, instances)
    assert batched.valid.all()
    for i, (rotation, translation) in enumerate(predict_one_by_one(predictor, frame, instances)):
        np.testing.assert_allclose(batched.poses[i, 0, :3, :3], rotation, atol=2e-3)
        np.testing.assert_allclose(batched.poses[i, 0, :3, 3], translation, atol=2e-3)


def test_truth_fills_up_with_what_was_not_found():
    truths = [truth(1, box_at(0)), truth(1, box_at(50)), truth(2, box_at(90))]
    found = Instances(
        np.array([1]), np.array([0.8], np.float32), box_at(51)[None].astype(np.float32),
        mask_of(box_at(51))[None], np.zeros((1, 4, 2, 2), np.float32),
    )  # fmt: skip
    filled = add_truth(found, truths, 2)
    assert filled.obj_ids.tolist() == [1, 1, 2]
    assert filled.boxes[:, 0].tolist() == [51, 0, 90]
    assert filled.masks.shape == (3, CAMERA.height, CAMERA.width)
    assert filled.roi_features.shape == (3, 4, 2, 2)


@pytest.mark.parametrize(("found", "count", "added"), [(3, 2, 0), (1, 2, 1), (0, 0, 0)])
def test_the_pose_stage_gets_exactly_as_many_instances_as_there_are(found, count, added, objects):
    boxes = [box_at(0), box_at(50), box_at(90)]
    frame = RGBDFrame(
        np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8),
        np.full((CAMERA.height, CAMERA.width), 0.6, np.float32),
        CAMERA,
    )
    instances = Instances(
        np.ones(found, np.int64), np.full(found, 0.9, np.float32), np.array(boxes[:found], np.float32).reshape(-1, 4),
        np.array([mask_of(b) for b in boxes[:found]], bool).reshape(-1, CAMERA.height, CAMERA.width),
        np.zeros((found, 4, 2, 2), np.float32),
    )  # fmt: skip
    exact = ExactCount()
    exact.truth = [truth(1, box, mask=mask_of(box)) for box in boxes[:count]]
    anything_goes = SegmentationConfig(min_depth_coverage=0.0, min_size_ratio=0.0, max_size_ratio=100.0)
    passed, rejected = exact(instances, frame, objects, anything_goes)
    assert len(passed) == count
    assert exact.added == added
    assert rejected == {}


def test_peak_memory_follows_what_is_used():
    before = peak_memory_mb()
    block = np.ones(200_000_000, np.uint8)
    assert peak_memory_mb() > before - 1
    assert peak_memory_mb() > block.nbytes / 1e6


def test_stills_hold_the_number_asked_for(objects):
    for count in (1, 3):
        samples = render_stills(objects, count, seed=0)
        assert [len(objects_of(s)) for s in samples] == [count, count]
        assert samples[0].frame.depth.shape == (480, 640)


@pytest.mark.parametrize("count", [1, 4])
def test_sequences_hold_the_number_asked_for_and_move(objects, count):
    samples = render_sequence(objects, count, 3, seed=0)
    assert [len(objects_of(s)) for s in samples] == [count] * 3
    assert [s.frame.camera_pose for s in samples] == [None] * 3
    assert np.diff([s.frame.stamp_ns for s in samples]).tolist() == [100_000_000] * 2
    assert not np.allclose(objects_of(samples[0])[0].pose, objects_of(samples[2])[0].pose)


def test_a_sequence_of_another_size_shows_the_same(objects):
    usual, large = (render_sequence(objects, 2, 1, seed=0, size=size)[0] for size in ((640, 480), (1280, 720)))
    assert large.frame.depth.shape == (720, 1280)
    assert large.frame.intrinsics.fx == pytest.approx(1.5 * usual.frame.intrinsics.fx)
    for one, other in zip(objects_of(usual), objects_of(large), strict=True):
        np.testing.assert_allclose(one.pose, other.pose, atol=1e-9)


@pytest.mark.parametrize("scenes", [SEQUENCE, INDEPENDENT])
def test_a_run_in_its_own_process(random_bundle, scenes):
    data = run_benchmark(BenchmarkConfig(model=str(random_bundle), counts=(1, 2), frames=2, threads=1, scenes=scenes))
    assert (data["model"], data["scenes"]) == ("random", scenes)
    assert set(data["objects"]) == {"1", "2"}
    for each in data["objects"].values():  # stills have no next frame to look at
        assert ("look_ahead" in each) == (scenes == SEQUENCE)
        assert scenes != SEQUENCE or each["look_ahead"]["fps"] > 0
        assert scenes != SEQUENCE or each["look_ahead"]["p99_over_median"] >= 1
    entry = data["objects"]["2"]
    assert 0 <= entry["from_truth"] <= 1
    parts = [entry["cpu_ms"][stage] for stage in ("segmentation", "pose", "tracking")]
    assert sum(parts) == pytest.approx(entry["cpu_ms"]["total"], rel=0.05)
    assert entry["cpu_over_reference"]["total"] == pytest.approx(entry["cpu_ms"]["total"] / data["reference_ms"])
    # Of two frames the median is the mean.
    assert entry["fps"] == pytest.approx(1000 / entry["latency_ms"]["total"]["median"], rel=1e-6)
    assert entry["p99_over_median"] >= 1
    assert 200 < data["peak_memory_mb"] < 4000
    assert data["first_output_s"] > entry["latency_ms"]["total"]["median"] / 1000
    text = format_benchmark(data)
    assert re.search(r"^ +2 ", text, re.MULTILINE)
    assert ("instances of the ground truth" in text) == (entry["from_truth"] > 0)


def test_one_sequence_is_held_at_a_time_by_a_pipeline_at_work(random_bundle, objects, tmp_path, monkeypatch):
    counts, frames = (1, 2), 8
    with PackedWriter(tmp_path / "frames.zip") as writer:
        for count in counts:
            for sample in render_sequence(objects, count, frames, seed=0, size=(320, 240)):
                writer.add(sample)
    read: list[weakref.ref[RGBDFrame]] = []
    held: list[int] = []
    warm: list[bool] = []

    class Watched(PackedDataset):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            read.append(weakref.ref(sample.frame))
            return sample

    def watch(measure):
        def watching(tracker, *args):
            warm.append(1 in tracker.estimator.search._templates)
            held.append(sum(frame() is not None for frame in read))
            return measure(tracker, *args)

        return watching

    monkeypatch.setattr("pose_tracking.datasets.packed.PackedDataset", Watched)
    for name in ("_measure_sequence", "_measure_look_ahead"):
        monkeypatch.setattr(worker, name, watch(getattr(worker, name)))
    monkeypatch.setattr(worker, "WARM_UP", {SEQUENCE: 1})
    job = asdict(BenchmarkConfig(model=str(random_bundle), counts=counts, frames=2, threads=1))
    worker.measure(job | {"packed": str(tmp_path / "frames.zip"), "started": time.time()})
    assert warm == [True] * 4
    # That of the first output is kept, and a tracker keeps its last two until it is reset.
    assert max(held) <= frames + 3


def test_errors_are_one_line(random_bundle, tmp_path):
    with pytest.raises(BundleError, match="unknown model 'nonesuch'"):
        run_benchmark(BenchmarkConfig(model="nonesuch"))
    broken = tmp_path / "broken"
    shutil.copytree(random_bundle, broken)
    (broken / "pose.safetensors").write_bytes(b"no weights")
    config = BenchmarkConfig(model=str(broken), counts=(1,), frames=1, threads=1, scenes=INDEPENDENT)
    with pytest.raises(PoseTrackingError, match=r"ended with 2: .*pose\.safetensors: corrupt weight file") as caught:
        run_benchmark(config)
    assert "\n" not in str(caught.value)


def test_command_refuses_bad_arguments(tmp_path):
    from pose_tracking.cli.benchmark import benchmark as command

    with pytest.raises(ConfigError, match="only 'published'"):
        command(networks="old")
    with pytest.raises(OutputError, match="is a folder"):
        command(networks=None, out=tmp_path, counts=None)
