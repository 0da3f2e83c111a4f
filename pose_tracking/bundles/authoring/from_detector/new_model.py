"""Makes a bundle out of a detector that others have trained: objects without meshes, found, told apart and tracked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.bundles.bundle import CONFIG_FILE
from pose_tracking.bundles.bundle_config import SCHEMA
from pose_tracking.bundles.edit import bundle_yaml
from pose_tracking.core.config import from_mapping
from pose_tracking.core.errors import ConfigError, OutputError
from pose_tracking.core.files import atomic_path, write_text
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.weights import fingerprint
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.external.coco import object_ids
from pose_tracking.segmentation.external.config import ReidConfig
from pose_tracking.segmentation.external.identity import ReidNetwork

from .detectron2 import read_detectron2
from .files import copy_graph
from .graph_probe import probe_reid
from .kinds import read_graph, read_torchvision
from .names import chosen_classes
from .request import KINDS, DetectorModel, DetectorRequest, changed_options

# Gates of the tracker by what appearance goes by. Of colour histograms, in a video of people of 768x576, 1 in 10 of the
# same person half a second later lies beyond 0.07, 1 in 8 of different persons within it. Two of a class are two
# things here: what comes back has to look like itself, not only to be the one that is missing.
_GATES: dict[str, dict[str, Any]] = {
    "color": {"appearance_gate": 0.08, "reid_gate": 0.08, "copies_differ": True},
    "reid": {"appearance_gate": 0.2, "reid_gate": 0.2, "copies_differ": True},
    "roi": {"reid_gate": 0.2},
}
_READERS: dict[str, Callable[[DetectorRequest], DetectorModel]] = {
    "torchvision": read_torchvision, "detectron2": read_detectron2, "onnx": read_graph, "openvino": read_graph,
}  # fmt: skip


def new_detector_model(
    request: DetectorRequest, out: str | Path, overwrite: bool = False
) -> tuple[dict[int, str], list[str]]:
    """Write a bundle for a detector; see ``pose-tracking new-model --from-detector``.

    The detector is tried on a picture before anything is written.

    Returns:
        Names of the objects by id, and notes for the user.

    Raises:
        BundleError, ConfigError: the detector or an option cannot be used.
        OutputError: `out` is there already, or cannot be written.
    """
    out = Path(out)
    if request.kind not in KINDS:
        raise ConfigError(f"--from-detector {request.kind!r} is not one of {', '.join(KINDS)}")
    _check_out(request, out, overwrite)
    model = _READERS[request.kind](request)
    reid: tuple[Path, ReidConfig] | None = None
    if request.reid is not None:
        reid = request.reid, probe_reid(request.reid)
        model.segmentation |= {"identity": "reid", "reid": changed_options(reid[1])}
        model.appearance = f"the re-identification network {request.reid.name}"
    chosen = chosen_classes(model.labels, request.classes, request.file.name)
    ids = dict(zip(object_ids([name for name in model.labels if name]), filter(None, model.labels), strict=True))
    names = {obj_id: name for obj_id, name in ids.items() if name in chosen}
    _try(model, names, reid)
    with atomic_path(out) as folder:
        folder.mkdir()
        model.write(folder)
        if reid is not None:
            copy_graph(reid[0], folder / reid[1].file)
        write_text(folder / CONFIG_FILE, bundle_yaml(_contents(request, model, names, out.name)))
        if overwrite and out.is_dir():
            shutil.rmtree(out)
    return names, [f"detector: {model.what}", f"identity goes by {model.appearance}", *model.notes]


def _contents(request: DetectorRequest, model: DetectorModel, names: dict[int, str], name: str) -> dict[str, Any]:
    stated = request.description or (
        f"Objects without meshes, found by {model.what} ({request.file.name}, SHA-256 {fingerprint(request.file)}...). "
        f"Identity goes by {model.appearance}."
    )
    return {
        "schema": SCHEMA,
        "name": name,
        "description": stated,
        "objects": {"names": names, "geometry": "none"},
        "segmentation": model.segmentation,
        "tracking": _GATES[model.segmentation.get("identity", "roi")],
    }


def _try(model: DetectorModel, names: dict[int, str], reid: tuple[Path, ReidConfig] | None) -> None:
    """Run the detector once, as the bundle will have it."""
    if model.build is None:
        return
    config = from_mapping(SegmentationConfig, model.segmentation, "segmentation")
    segmenter = model.build(config, names)
    if reid is not None:
        ReidNetwork(reid[1], reid[0], InferenceConfig())
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    segmenter.segment(RGBDFrame.of_color(picture))


def _check_out(request: DetectorRequest, out: Path, overwrite: bool) -> None:
    filled = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if filled and not overwrite:
        raise OutputError(f"{out}: exists already: choose another name, or pass --overwrite to replace it")
    if filled and not (out / CONFIG_FILE).is_file():
        raise OutputError(
            f"{out}: is no bundle (no {CONFIG_FILE}), so it is not replaced: remove it, or choose another"
        )
    if out.exists():
        for path in filter(None, (request.file, request.weights, request.reid)):
            if path.resolve().is_relative_to(out.resolve()):
                raise OutputError(f"{out}: holds {path.name}, which is read: choose another folder")
