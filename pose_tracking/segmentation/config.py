"""Options of the segmentation stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError

from .external.config import IDENTITIES, GraphConfig, ReidConfig, ZooConfig

BACKBONES = ("efficientnet_lite0", "resnet50")
BACKENDS = ("torchvision", "detectron2", "torchvision_zoo", "graph", "depth_segments")


@dataclass(frozen=True)
class Detectron2Config:
    """Where a bundle has its detectron2 training; used with ``backend: detectron2`` only."""

    config: str = option("config.yaml", "complete config of the training, relative to the bundle")
    weights: str = option("model_final.pth", "checkpoint of the training, relative to the bundle")
    thing_classes: tuple[str, ...] = option(
        (), "class names in the order of the training; empty: metadata of the config's datasets, where registered"
    )


@dataclass(frozen=True)
class DepthSegmentsConfig:
    """Segments of the depth as detections; used with ``backend: depth_segments`` only."""

    plane_area: float = option(
        1.5,
        "area in view from which a plane is table, wall or floor and no side of an object, in squares of the largest "
        "diameter",
        unit="diameters^2",
        range=(0.1, 1000.0),
    )
    max_planes: int = option(6, "planes taken out at most", range=(0, 30))
    farthest: float = option(3.0, "nothing is looked for beyond this depth", unit="m", range=(0.1, 100.0))
    min_pixels: int = option(
        160, "pixels of a segment at least, for a focal length of 572 px", unit="px", range=(8, 100000)
    )
    classes: int = option(3, "objects that one segment is tried as, at most", range=(1, 100))
    templates: int = option(16, "templates of each that are aligned", range=(1, 1000))
    slack: float = option(
        0.12, "how much less alike than the most alike object another one may be to be tried", range=(0.0, 1.0)
    )


@dataclass(frozen=True)
class SegmentationConfig:
    """Mask R-CNN (He et al., 2017) with a feature pyramid (Lin et al., 2017), sized for two CPU cores.

    The published networks have 256 pyramid channels, 1000 proposals and a 1024-wide box head; the defaults here are
    far smaller, so that a 640x480 frame takes a fraction of a second without a GPU and the weights fit in 10 MB.
    """

    backend: str = option(
        "torchvision",
        "the detector: torchvision is this package's own network, torchvision_zoo one that torchvision publishes, "
        "graph one in an ONNX or OpenVINO file, depth_segments none: segments of the depth image and templates",
        choices=BACKENDS,
    )
    detectron2: Detectron2Config = field(default_factory=Detectron2Config)
    depth_segments: DepthSegmentsConfig = field(default_factory=DepthSegmentsConfig)
    zoo: ZooConfig = field(default_factory=ZooConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    identity: str = option(
        "roi",
        "what appearance goes by: roi, the detector's own RoIAlign features; reid, a re-identification network; color, "
        "histograms of the masked crop's colours, for detectors without RoIAlign",
        choices=IDENTITIES,
    )
    reid: ReidConfig = field(default_factory=ReidConfig)
    backbone: str = option("efficientnet_lite0", "feature extractor below the pyramid", choices=BACKBONES)
    depth: bool = option(
        False, "whether the network sees the depth image too (RGB-D), not the colours alone; fixed by its training"
    )
    strides: tuple[int, ...] = option((8, 16, 32), "pyramid levels, finest first, each twice the one before", unit="px")
    fpn_channels: int = option(96, "channels of every pyramid level", range=(8, 512))
    anchor_sizes: tuple[float, ...] = option(
        (24.0, 40.0, 64.0, 104.0, 168.0, 272.0),
        "anchor sides, smallest first, the same number for every level",
        unit="px",
        range=(4, 2000),
    )
    box_head_size: int = option(256, "width of the two fully connected layers of the box head", range=(16, 4096))
    mask_head_channels: tuple[int, ...] = option((64, 64, 64), "channels of the mask head's layers", range=(8, 512))
    roi_size: int = option(7, "side of the RoIAlign grid of the box head and of the appearance features", range=(3, 28))
    mask_roi_size: int = option(14, "side of the mask head's RoIAlign grid; masks are twice as fine", range=(7, 56))
    focal_length: float = option(
        572.0,
        "focal length of the images the network was trained on: those of other cameras are scaled so that objects have "
        "the size it knows (at most 3 times larger, not at all within 15 %); 0 leaves them as they are",
        unit="px",
        range=(0, 20000),
    )
    max_width: int = option(
        1280,
        "longer side of the network's image at most, after that scaling; objects in larger ones are seen too small",
        unit="px",
        range=(64, 4096),
    )
    max_height: int = option(960, "its shorter side at most", unit="px", range=(64, 4096))
    proposals: int = option(150, "regions the box head classifies", range=(1, 2000))
    score_threshold: float = option(
        0.1,
        "least score of a detection; low, because the pose check sorts out what is not there",
        range=(0.0, 1.0),
        runtime=True,
    )
    nms_iou: float = option(0.5, "boxes of one class that overlap more are one object", range=(0.0, 1.0), runtime=True)
    cross_class_iou: float = option(
        1.0,
        "boxes of different classes that overlap more are one object, and the better score wins; 1 keeps both, for the "
        "pose check to decide",
        range=(0.0, 1.0),
        runtime=True,
    )
    max_detections: int = option(30, "most detections in a frame", range=(1, 500), runtime=True)
    mask_threshold: float = option(0.5, "least mask probability of a pixel", range=(0.0, 1.0), runtime=True)
    min_depth_coverage: float = option(
        0.3, "least share of mask pixels with a depth reading", range=(0.0, 1.0), runtime=True
    )
    min_size_ratio: float = option(
        0.15, "least extent in view over the object's diameter (low, for hidden parts)", range=(0.0, 10.0), runtime=True
    )
    max_size_ratio: float = option(
        1.4,
        "largest extent in view over the object's diameter (above 1: masks bleed, near sides look larger)",
        range=(0.0, 100.0),
        runtime=True,
    )

    def __post_init__(self) -> None:
        levels = len(self.strides)
        if not levels or any(b != 2 * a for a, b in zip(self.strides, self.strides[1:], strict=False)):
            raise ConfigError(f"strides = {self.strides!r}: each must be twice the one before, e.g. (8, 16, 32)")
        if not set(self.strides) <= {4, 8, 16, 32}:
            raise ConfigError(f"strides = {self.strides!r}: only 4, 8, 16 and 32 exist")
        if not self.anchor_sizes or len(self.anchor_sizes) % levels:
            raise ConfigError(f"anchor_sizes: {len(self.anchor_sizes)} sizes cannot be shared out over {levels} levels")
