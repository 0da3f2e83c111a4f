"""Finds out what a detector's graph wants and gives, by looking at it and running it once."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_tracking.core.errors import BundleError
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.graph_file import GraphFile, Port, open_graph, run_graph
from pose_tracking.segmentation.external.config import GraphConfig, ReidConfig
from pose_tracking.segmentation.external.image_input import check_image_input, input_size, to_array
from pose_tracking.segmentation.external.outputs import FROM_ONE, recognise

from .names import names_in_metadata

# Where a graph takes any size: YOLO's usual one. Detectors that scale the picture themselves get the frame as it is.
_USUAL_SIDE = 640
_PROBE = 480, 640  # rows, columns of the picture it is tried with


@dataclass(frozen=True)
class Probed:
    """What was found.

    Attributes:
        config: options of the graph, without names.
        classes: how many its outputs have, None where they do not tell.
        names: class names that its file states.
        masks: whether it gives masks.
        engine: what ran it.
    """

    config: GraphConfig
    classes: int | None
    names: list[str]
    masks: bool
    engine: str


def probe_detector(path: Path, stated_classes: int | None) -> Probed:
    """What a detector's graph is.

    Args:
        path: the graph.
        stated_classes: how many classes the user says it has, None where not.

    Raises:
        BundleError: it cannot be loaded or run, or is no detector of a known layout.
    """
    graph = open_graph(path, InferenceConfig())
    port, metadata = check_image_input(graph.inputs, str(path)), metadata_of(path, graph)
    names = names_in_metadata(metadata)
    width, height = (side or usual for side, usual in zip(input_size(port), _usual_size(port, metadata), strict=True))
    shape = height or _PROBE[0], width or _PROBE[1], 3
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    outputs = run_graph(graph, [to_array(picture, port, (0.0,) * 3, (255.0,) * 3, False)], path)
    try:
        layout = recognise(graph.outputs, outputs, stated_classes or len(names) or None)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error
    scales_itself = layout.name in ("torchvision", "tensorflow")
    if scales_itself:
        width, height = input_size(port)
    config = GraphConfig(
        file=f"detector{path.suffix.lower()}",
        layout=layout.name,
        first_label=int(layout.name in FROM_ONE),
        width=width,
        height=height,
        letterbox=layout.name not in ("tensorflow", "ssd"),
    )
    return Probed(config, layout.classes, names, layout.masks, graph.engine)


def probe_reid(path: Path) -> ReidConfig:
    """What a re-identification network's graph takes.

    Raises:
        BundleError: it cannot be loaded.
    """
    if path.suffix.lower() != ".onnx":
        raise BundleError(f"--reid {path}: is no .onnx file: export the re-identification network to ONNX")
    graph, usual = open_graph(path, InferenceConfig()), ReidConfig()
    if not graph.inputs or len(graph.inputs[0].shape) != 4:
        described = ", ".join(map(str, graph.inputs))
        raise BundleError(f"--reid {path}: its inputs are {described}; a re-ID network has one, (1, 3, height, width)")
    width, height = input_size(graph.inputs[0])
    return ReidConfig(width=width or usual.width, height=height or usual.height)


def metadata_of(path: Path, graph: GraphFile) -> dict[str, str]:
    """What the author of an ONNX file has written into it; OpenVINO does not hand it on."""
    if graph.metadata or path.suffix.lower() != ".onnx":
        return graph.metadata
    try:
        import onnx

        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # without it names and sizes are asked for, or COCO's
        return {}
    return {entry.key: entry.value for entry in model.metadata_props}


def _usual_size(port: Port, metadata: Mapping[str, str]) -> tuple[int, int]:
    """Width and height where the input takes any; 0 for those that take the frame as it is."""
    if port.dtype == "uint8" or len(port.shape) == 3:
        return 0, 0
    try:
        stated = ast.literal_eval(metadata["imgsz"])
        height, width = (stated, stated) if isinstance(stated, int) else (int(side) for side in stated)
    except (KeyError, ValueError, SyntaxError, TypeError):
        return _USUAL_SIDE, _USUAL_SIDE
    if not (32 <= width <= 8192 and 32 <= height <= 8192):
        return _USUAL_SIDE, _USUAL_SIDE
    return width, height
