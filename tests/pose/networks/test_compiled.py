"""The pose networks on other engines: the poses that PyTorch gives, for any number of instances."""

from __future__ import annotations

import pytest
import torch

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.engine import Engine, Part, Run
from pose_tracking.pose.config import CropConfig
from pose_tracking.pose.hypotheses.predictor import PosePredictor, fuse_batch_norm, refine_all
from pose_tracking.pose.networks.compiled import CompiledLightPoseNet, compile_estimator, compile_refiner
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet

COUNTS = (1, 5, 2)


def engine_of(name: str) -> Engine:
    """An engine in fp32; skips where its packages are not installed."""
    for package in {"openvino": ["openvino"], "onnxruntime": ["onnxruntime", "onnx"]}[name]:
        pytest.importorskip(package)
    return choose_engine(InferenceConfig(name, "fp32"))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return ModelBundle.load("demo")


@pytest.fixture(scope="module")
def on_torch(bundle: ModelBundle) -> PosePredictor:
    return PosePredictor(bundle.config.pose, bundle.objects, bundle.pose_weights, bundle.refiner_weights)


def inputs(count: int, points: int, size: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(count, 3, size, size, generator=generator)
    cloud = 0.3 * torch.randn(count, points, 3, generator=generator)
    choose = torch.randint(0, size * size, (count, points), generator=generator)
    return image, cloud, choose, torch.arange(count) % 2


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_shipped_networks_give_the_same_poses(
    name: str, bundle: ModelBundle, on_torch: PosePredictor, capfd: pytest.CaptureFixture[str]
) -> None:
    config, engine = bundle.config.pose, engine_of(name)
    weights = bundle.pose_weights, bundle.refiner_weights
    predictor = PosePredictor(config, bundle.objects, *weights, engine=engine)
    assert isinstance(predictor.estimator, CompiledLightPoseNet)
    assert engine.on_torch == []
    for count in COUNTS:
        image, cloud, choose, index = inputs(count, config.crop.points, config.crop.size)
        with torch.inference_mode():
            want, chosen = on_torch.estimator.most_confident(image, cloud, choose, index, 10)
            got, also_chosen = predictor.estimator.most_confident(image, cloud, choose, index, 10)
            assert torch.equal(chosen, also_chosen)
            for wanted, found in zip(want, got, strict=True):
                torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
            rotation = torch.eye(3).repeat(count, 4, 1, 1)
            poses = [
                refine_all(run, cloud, want.embedding, index, rotation, torch.zeros(count, 4, 3), 2)
                for run in (on_torch.refiner, predictor.refiner)
            ]
            for wanted, found in zip(*poses, strict=True):
                torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert "Expected shape" not in capfd.readouterr().err  # a line of ONNX Runtime for every call of another count


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_published_network_takes_crops_of_all_sizes(name: str) -> None:
    torch.manual_seed(0)
    network = PoseNet(2).eval()
    other = PoseNet(2).eval()
    other.load_state_dict(network.state_dict())
    engine = engine_of(name)
    compiled = compile_estimator(other, CropConfig(points=60), engine)
    # ONNX has no pooling to a fixed number of cells for images of any size.
    assert engine.on_torch == ([] if name == "openvino" else ["colour encoder"])
    image, cloud, choose, index = inputs(3, 60, 120)
    sizes = [(80, 120), (120, 120), (40, 80)]
    choose = choose % (40 * 80)
    with torch.inference_mode():
        want, chosen = network.most_confident(image, cloud, choose, index, 5, sizes)
        got, also_chosen = compiled.most_confident(image, cloud, choose, index, 5, sizes)
    assert torch.equal(chosen, also_chosen)
    for wanted, found in zip(want, got, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-2, rtol=1e-3)


def test_bf16_is_near() -> None:
    pytest.importorskip("openvino")
    from pose_tracking.networks.engines.openvino_engine import computes_bf16

    if not computes_bf16():
        pytest.skip("this CPU has no bf16")
    bundle, engine = ModelBundle.load("demo"), choose_engine(InferenceConfig("openvino", "bf16"))
    weights = bundle.pose_weights, bundle.refiner_weights
    exact, near = (PosePredictor(bundle.config.pose, bundle.objects, *weights, engine=e) for e in (None, engine))
    image, cloud, choose, index = inputs(4, bundle.config.pose.crop.points, bundle.config.pose.crop.size)
    with torch.inference_mode():
        want, got = (p.estimator.most_confident(image, cloud, choose, index, 256)[0].coordinates for p in (exact, near))
    assert want is not None
    assert got is not None
    error = (want - got).norm(dim=-1)
    assert 1e-5 < float(error.median()) < 0.02  # diameters


def test_an_engine_that_prepares_each_shape_is_shown_few() -> None:
    torch.manual_seed(0)
    shapes: dict[str, set[int]] = {"pose network": set(), "refiner": set()}

    class Preparing(Engine):
        name, prepares_shapes = "preparing", True

        def compile(self, part: Part) -> Run:
            def run(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
                shapes[part.name].add(len(tensors[0]))
                return tuple(part.module(*tensors))

            return run

    network, refiner = LightPoseNet(2).eval(), PoseRefineNet(2).eval()
    fuse_batch_norm(network)
    compiled = compile_estimator(network, CropConfig(size=32, points=8), Preparing())
    run = compile_refiner(refiner, 8, Preparing())
    for count in (1, 3, 5):
        image, cloud, choose, index = inputs(count, 8, 32)
        with torch.inference_mode():
            want, chosen = network.most_confident(image, cloud, choose, index, 4)
            got, also_chosen = compiled.most_confident(image, cloud, choose, index, 4)
            rotation, shift = torch.eye(3).repeat(count, 4, 1, 1), torch.zeros(count, 4, 3)
            poses = [refine_all(r, cloud, want.embedding, index, rotation, shift, 1) for r in (refiner, run)]
        assert torch.equal(chosen, also_chosen)
        for wanted, found in [*zip(want, got, strict=True), *zip(*poses, strict=True)]:
            torch.testing.assert_close(found, wanted)
    assert shapes == {"pose network": {1}, "refiner": {4}}


def test_torch_leaves_the_networks_as_they_are() -> None:
    engine = choose_engine(InferenceConfig("torch", "fp32"))
    network, refiner = LightPoseNet(2).eval(), PoseRefineNet(2).eval()
    assert compile_estimator(network, CropConfig(), engine) is network
    assert compile_refiner(refiner, 8, engine) is refiner


def test_crops_of_different_sizes_are_refused() -> None:
    network = LightPoseNet(2).eval()
    fuse_batch_norm(network)
    compiled = CompiledLightPoseNet(network, CropConfig(size=32, points=8), choose_engine(InferenceConfig("torch")))
    image, cloud, choose, index = inputs(1, 8, 32)
    with pytest.raises(ValueError, match="one size"):
        compiled.most_confident(image, cloud, choose, index, 4, [(32, 32)])
    assert compiled.most_confident(image, cloud, choose, index, 4)[0].confidence.shape == (1, 4, 1)
