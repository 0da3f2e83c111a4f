"""The DenseFusion pose network (Wang et al., CVPR 2019), batched over objects.

Layer sizes and names are those of the released checkpoints. Every sample of a batch picks the outputs of its own
object, and the pooled feature is a mean over however many points there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .encoders import EMBEDDING_CHANNELS, PSPNetResNet18, sample_embedding

LOCAL_CHANNELS, GLOBAL_CHANNELS = 384, 1024
ENCODER_PIXELS = 1 << 19  # of crops of different sizes that are encoded together: bounds the memory of large ones


class PoseOutput(NamedTuple):
    """Per-point poses of B objects, in the frame and length unit of the input points.

    Attributes:
        rotation: (B, N, 4) quaternions wxyz, not normalised.
        translation: (B, N, 3) offset from the point to the object's origin.
        confidence: (B, N, 1), 0 to 1.
        embedding: (B, 32, N) colour embedding at the points, for the refiner.
    """

    rotation: Tensor
    translation: Tensor
    confidence: Tensor
    embedding: Tensor

    @property
    def coordinates(self) -> None:
        """This network gives no object coordinates, see `light_network.CoordinateOutput`."""
        return None


def pointwise(conv: nn.Conv1d, x: Tensor, columns: slice = slice(None)) -> Tensor:
    """`conv` (kernel 1) on (..., C) features, as one matrix product; `columns` takes some input channels, no bias."""
    weight = conv.weight[:, columns, 0]
    return F.linear(x, weight, conv.bias if columns == slice(None) else None)


@torch.no_grad()
def he_initialization(module: nn.Module) -> None:
    """Weights that keep the size of the signal through layers with ReLU (He et al., ICCV 2015); biases zero.

    These networks have no normalisation: torch's default fades differences between inputs tenfold every few layers.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


# Points of an object measured in diameters have a standard deviation of about a third: as loud as colour, then.
POINT_GAIN = 3.0


class PoseNetFeatures(nn.Module):
    """Dense fusion of geometry and colour: per-point features and their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(3, 64, 1)
        self.conv2 = nn.Conv1d(64, 128, 1)
        self.e_conv1 = nn.Conv1d(EMBEDDING_CHANNELS, 64, 1)
        self.e_conv2 = nn.Conv1d(64, 128, 1)
        self.conv5 = nn.Conv1d(256, 512, 1)
        self.conv6 = nn.Conv1d(512, GLOBAL_CHANNELS, 1)

    def forward(self, points: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 3) points and (B, N, 32) embedding to (B, N, 384) local and (B, 1024) global features."""
        x, e = F.relu_(pointwise(self.conv1, points)), F.relu_(pointwise(self.e_conv1, embedding))
        early = torch.cat([x, e], -1)
        x, e = F.relu_(pointwise(self.conv2, x)), F.relu_(pointwise(self.e_conv2, e))
        late = torch.cat([x, e], -1)
        pooled = F.relu_(pointwise(self.conv6, F.relu_(pointwise(self.conv5, late)))).mean(1)
        return torch.cat([early, late], -1), pooled


class PoseNet(nn.Module):
    """Per-point rotation, translation and confidence of each object.

    ``forward(image, points, choose, object_index) -> PoseOutput``; the pose of point i has the rotation of its
    quaternion and the translation ``points[i] + offset[i]``. The most confident point gives the pose of the object.

    Args:
        num_objects: objects of the set; each has its own outputs of the last layer.
    """

    def __init__(self, num_objects: int) -> None:
        super().__init__()
        self.num_objects = num_objects
        self.conv4_r: nn.Conv1d
        self.conv4_t: nn.Conv1d
        self.conv4_c: nn.Conv1d
        self.cnn = PSPNetResNet18()
        self.feat = PoseNetFeatures()
        for head, outputs in (("r", 4), ("t", 3), ("c", 1)):
            sizes = (LOCAL_CHANNELS + GLOBAL_CHANNELS, 640, 256, 128, num_objects * outputs)
            for layer in range(4):
                conv = nn.Conv1d(sizes[layer], sizes[layer + 1], 1)
                he_initialization(conv)
                self.add_module(f"conv{layer + 1}_{head}", conv)
        he_initialization(self.feat)
        with torch.no_grad():
            self.feat.conv1.weight *= POINT_GAIN
            # Begin with the origin near the point and an undecided confidence, but with any rotation.
            for last, gain in ((self.conv4_t, 0.1), (self.conv4_c, 0.1), (self.conv4_r, 0.7)):
                last.weight *= gain

    def embed(self, image: Tensor, choose: Tensor, sizes: Sequence[tuple[int, int]] | None = None) -> Tensor:
        """(B, 32, N) colour embedding at the chosen pixels, see `most_confident`."""
        if sizes is None:
            return sample_embedding(self.cnn(image), choose, (image.shape[-2], image.shape[-1]))
        embedding = image.new_zeros((len(image), EMBEDDING_CHANNELS, choose.shape[1]), dtype=torch.float32)
        # Pooling sees the whole crop, so that padding would change it: one pass for each size that occurs.
        for height, width in dict.fromkeys(sizes):
            rows = torch.tensor([i for i, size in enumerate(sizes) if size == (height, width)], device=image.device)
            for part in rows.split(max(ENCODER_PIXELS // (height * width), 1)):
                crops = image[part, :, :height, :width]
                embedding[part] = sample_embedding(self.cnn(crops), choose[part], (height, width))
        return embedding

    def fuse(
        self, image: Tensor, points: Tensor, choose: Tensor, sizes: Sequence[tuple[int, int]] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Local (B, N, 384) and global (B, 1024) features and the (B, 32, N) embedding."""
        embedding = self.embed(image, choose, sizes)
        local, pooled = self.feat(points, embedding.transpose(1, 2))
        return local, pooled, embedding

    def head(self, name: str, local: Tensor, pooled: Tensor, object_index: Tensor) -> Tensor:
        """(B, M, outputs) raw outputs of head "r", "t" or "c" at M points, those of each sample's own object."""
        conv1, conv2, conv3, conv4 = (getattr(self, f"conv{layer}_{name}") for layer in range(1, 5))
        # The pooled feature is the same for all points, so its share of the first layer is computed once an object.
        shared = pointwise(conv1, pooled, slice(LOCAL_CHANNELS, None)) + conv1.bias
        x = F.relu_(pointwise(conv1, local, slice(LOCAL_CHANNELS)) + shared[:, None])
        x = F.relu_(pointwise(conv3, F.relu_(pointwise(conv2, x))))
        x = pointwise(conv4, x).float().unflatten(-1, (self.num_objects, -1))
        return x[torch.arange(x.shape[0], device=x.device), :, object_index]

    def forward(self, image: Tensor, points: Tensor, choose: Tensor, object_index: Tensor) -> PoseOutput:
        """Poses at all points.

        Args:
            image: (B, 3, H, W) normalised colour crops.
            points: (B, N, 3) points of the crop.
            choose: (B, N) int64 pixel ``row * W + column`` of each point in the crop.
            object_index: (B,) int64 position of each object in the set.
        """
        local, pooled, embedding = self.fuse(image, points, choose)
        rotation, translation, confidence = (self.head(name, local, pooled, object_index) for name in "rtc")
        return PoseOutput(rotation, translation, confidence.sigmoid(), embedding.detach())

    def most_confident(
        self,
        image: Tensor,
        points: Tensor,
        choose: Tensor,
        object_index: Tensor,
        count: int,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[PoseOutput, Tensor]:
        """`forward` cut to the `count` most confident points of each object, most confident first.

        Rotation and translation are computed at those points only, which halves the time. Crops of different `sizes`
        (height and width of each) lie in the upper left corners of `image`, and `choose` counts in each one's own
        width; without `sizes` every crop fills its image.

        Returns:
            Output with N = min(count, N) but the embedding of all points, and the (B, count) indices of the points.
        """
        local, pooled, embedding = self.fuse(image, points, choose, sizes)
        confidence = self.head("c", local, pooled, object_index).sigmoid()
        best, index = confidence[..., 0].topk(min(count, points.shape[1]), dim=1)
        local = local.gather(1, index[..., None].expand(-1, -1, local.shape[-1]))
        rotation, translation = (self.head(name, local, pooled, object_index) for name in "rt")
        return PoseOutput(rotation, translation, best[..., None], embedding.detach()), index
