"""Options of detectors that others have trained."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option

NETWORKS = (
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
)
LAYOUTS = ("yolo", "yolo_objectness", "end_to_end", "torchvision", "tensorflow", "ssd")
IDENTITIES = ("roi", "color", "reid")


@dataclass(frozen=True)
class ZooConfig:
    """One of torchvision's published networks; used with ``backend: torchvision_zoo`` only."""

    network: str = option(NETWORKS[0], "which one, by the name of its function in torchvision", choices=NETWORKS)
    labels: tuple[str, ...] = option(
        (), "class names in the order of the network's labels from 1, empty where a label has no class"
    )
    frozen_norm: bool = option(
        False, "whether the batch norms of its trunk are frozen ones, as in all trained from torchvision's weights"
    )
    norm_epsilon: float = option(
        0.0, "what frozen ones add to the variance: 0 in torchvision's COCO_V1, 1e-5 in its MobileNet and in trainings "
        "that began with an ImageNet trunk", range=(0, 1),
    )  # fmt: skip
    min_size: int = option(800, "shorter side of the network's image, as torchvision scales it", unit="px",
                           range=(64, 4096))  # fmt: skip
    max_size: int = option(1333, "its longer side at most", unit="px", range=(64, 8192))


@dataclass(frozen=True)
class GraphConfig:
    """A detector as a graph file; used with ``backend: graph`` only. `new-model --from-detector` finds all of this."""

    file: str = option("detector.onnx", "the graph, relative to the bundle: .onnx, or .xml, .pb, .tflite of OpenVINO")
    layout: str = option(
        "yolo",
        "what its outputs are: yolo (1, 4 + classes, N), yolo_objectness (1, N, 5 + classes), end_to_end (1, N, 6), "
        "torchvision (boxes, labels, scores, masks), tensorflow (detection_boxes ... of 0 to 1), ssd (1, 1, N, 7)",
        choices=LAYOUTS,
    )
    labels: tuple[str, ...] = option((), "class names in the order of its labels, empty where a label has no class")
    first_label: int = option(0, "number of the first of them: 1 where 0 is the background", range=(0, 1))
    width: int = option(0, "width of its input; 0: that of the frame", unit="px", range=(0, 8192))
    height: int = option(0, "height of its input; 0: that of the frame", unit="px", range=(0, 8192))
    letterbox: bool = option(True, "keep the shape of the picture and fill up with grey, instead of stretching it")
    bgr: bool = option(False, "blue before red")
    mean: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0), "subtracted from the channels of 0 to 255", range=(0, 255)
    )
    std: tuple[float, float, float] = option(
        (255.0, 255.0, 255.0), "they are then divided by this", range=(1e-6, 65536)
    )


@dataclass(frozen=True)
class ReidConfig:
    """A re-identification network, crop in and vector out; used with ``identity: reid`` only."""

    file: str = option("reid.onnx", "its graph, relative to the bundle")
    width: int = option(128, "width of its input", unit="px", range=(8, 2048))
    height: int = option(256, "height of its input", unit="px", range=(8, 2048))
    bgr: bool = option(False, "blue before red")
    mean: tuple[float, float, float] = option(
        (123.675, 116.28, 103.53), "subtracted from the channels of 0 to 255 (ImageNet's)", range=(0, 255)
    )
    std: tuple[float, float, float] = option(
        (58.395, 57.12, 57.375), "they are then divided by this (ImageNet's)", range=(1e-6, 65536)
    )
