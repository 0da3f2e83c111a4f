"""Reads the detectors of each kind: torchvision's networks, and graph files."""

from __future__ import annotations

from safetensors.torch import save_file

from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.external.config import NETWORKS, ZooConfig
from pose_tracking.segmentation.segmenter import Segmenter

from .files import copy_graph, read_state
from .graph_probe import probe_detector
from .names import label_names, parse_names
from .request import NO_MASKS, THRESHOLDS, DetectorModel, DetectorRequest, changed_options


def read_torchvision(request: DetectorRequest) -> DetectorModel:
    """One of torchvision's published networks, told by its weights.

    Raises:
        BundleError, ConfigError: the checkpoint is no such network's, or its classes are not named.
    """
    from pose_tracking.networks.engines.engine import TorchEngine
    from pose_tracking.segmentation.external.zoo import build_network, recognise
    from pose_tracking.segmentation.external.zoo_segmenter import ZooSegmenter

    state = read_state(request.file)
    found = recognise(state)
    if found is None:
        raise BundleError(
            f"{request.file}: its {len(state)} weights ({next(iter(state))}, ...) are of none of torchvision's "
            f"{', '.join(NETWORKS)}; export another network to ONNX and pass --from-detector onnx"
        )
    zoo, count = found
    labels = label_names(parse_names(request.names), count - 1, True, str(request.file))

    def build(config: SegmentationConfig, names: dict[int, str]) -> Segmenter:
        network = build_network(config.zoo, count)
        network.load_state_dict(state)
        return ZooSegmenter(config, names, network, "cpu", TorchEngine())

    segmentation = {"backend": "torchvision_zoo", **THRESHOLDS, "zoo": {**changed_options(zoo), "labels": labels}}
    return DetectorModel(
        segmentation, labels, f"torchvision's {zoo.network}", "the detector's RoIAlign features",
        lambda folder: save_file(dict(state), folder / "segmentation.safetensors"), build, _box_note(zoo),
    )  # fmt: skip


def _box_note(zoo: ZooConfig) -> list[str]:
    return [] if zoo.network.startswith("mask") else [NO_MASKS]


def read_graph(request: DetectorRequest) -> DetectorModel:
    """A detector in a graph file, told by its outputs.

    Raises:
        BundleError, ConfigError: the graph is no detector that is known, or its classes are not named.
    """
    from pose_tracking.segmentation.external.graph_segmenter import GraphSegmenter

    suffix = request.file.suffix.lower()
    if (suffix == ".onnx") != (request.kind == "onnx"):
        wanted = "a .onnx file" if request.kind == "onnx" else "a .xml, .pb or .tflite file"
        raise ConfigError(f"--from-detector {request.kind} {request.file}: takes {wanted}; name the kind that fits")
    stated = parse_names(request.names)
    probed = probe_detector(request.file, len(stated) or None)
    notes = [f"outputs: {probed.config.layout}" + (" with masks" if probed.masks else "")]
    if not probed.masks:
        notes.append(NO_MASKS)
    known = stated or probed.names
    labels = label_names(known, probed.classes, probed.config.first_label == 1, str(request.file))
    if not known and probed.classes is None:
        notes.append("its file does not say what its labels mean: they are taken for COCO's; if not, pass --names")
    if stated and probed.classes is None:
        notes.append(
            f"its outputs do not say how many classes it has: the {len(stated)} stated are believed; a label beyond "
            "them is told when it comes"
        )
    graph = {**changed_options(probed.config), "labels": labels}
    segmentation = {"backend": "graph", **THRESHOLDS, "identity": "color", "graph": graph}
    return DetectorModel(
        segmentation, labels, f"a graph of the layout {probed.config.layout}", "colour histograms of the masked crop",
        lambda folder: copy_graph(request.file, folder / probed.config.file),
        lambda config, names: GraphSegmenter(config, names, request.file), notes,
    )  # fmt: skip
