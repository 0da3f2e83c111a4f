"""Makes a bundle's detector in int8 and says what that costs: as much as is kept, or too much."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.files import atomic_path
from pose_tracking.datasets.sample import Sample, Source
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.quantized import store
from pose_tracking.networks.engines.quantizing import quantize, require_nncf, save
from pose_tracking.pipeline import PoseTracker
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter

from .evaluator import evaluate

if TYPE_CHECKING:
    from torch import Tensor

MOST_LOST = 0.01  # of mAP50, by which int8 may fall behind


@dataclass(frozen=True)
class Figures:
    """How the whole pipeline does with one precision of the detector.

    Attributes:
        map50: mean average precision of its instances at a mask IoU of 0.5, after the pose check, 0 to 1.
        false_positives: a frame.
        frames: annotated ones.
    """

    map50: float
    false_positives: float
    frames: int

    def __str__(self) -> str:
        return f"mAP50 {self.map50:.1%}, {self.false_positives:.3f} false positives a frame"


@dataclass(frozen=True)
class Comparison:
    """The detector with the precision that it has without being asked (`before`), and in int8.

    Attributes:
        before, int8: figures on the same frames.
        engine: what `before` ran on, e.g. "openvino bf16".
        calibrated_on: number of frames that the ranges of the activations were taken from.
    """

    before: Figures
    int8: Figures
    engine: str
    calibrated_on: int

    @property
    def objections(self) -> list[str]:
        """Why int8 is not worth its speed; none where it is."""
        found = []
        if self.before.map50 - self.int8.map50 > MOST_LOST:
            found.append(f"mAP50 falls from {self.before.map50:.1%} to {self.int8.map50:.1%}")
        if self.int8.false_positives > self.before.false_positives:
            rates = self.before.false_positives, self.int8.false_positives
            found.append("false positives rise from {:.3f} to {:.3f} a frame".format(*rates))
        return found


def check_quantizable(bundle: ModelBundle) -> None:
    """Raise unless a bundle's detector can be made in int8 here.

    Raises:
        ConfigError: NNCF or OpenVINO is missing, the CPU computes no int8, or the detector is not of this package.
    """
    require_nncf()
    from pose_tracking.networks.engines.openvino_engine import computes_int8

    backend = bundle.config.segmentation.backend
    if backend != "torchvision":
        raise ConfigError(f"{bundle.name}: a detector of backend {backend!r} cannot be made in int8")
    if not computes_int8():
        raise ConfigError("int8: this processor has no int8 arithmetic: nothing would be gained")


def make_int8(
    bundle: ModelBundle, frames: Iterable[Sample], sources: Sequence[Source], out: Path, objects: Path | None = None
) -> Comparison:
    """Make the detector of `bundle` in int8 and compare it with what it is without.

    Args:
        bundle: as it is.
        frames: what the detector is to see; annotation does not matter.
        sources: annotated frames that are compared on; none of `frames`.
        out: the bundle to write to: the folder of `bundle`, or one that does not exist, to which it is copied. It is
            only written where `Comparison.objections` has none.
        objects: folder of the meshes, for bundles that do not ship them.

    Raises:
        ConfigError: there are no frames.
        BundleError, DatasetError: as of loading and evaluating.
        OutputError: `out` cannot be written.
    """
    segmenter = bundle.build_segmenter("cpu", InferenceConfig("torch", "fp32"))
    assert isinstance(segmenter, TorchvisionSegmenter)  # `check_quantizable`
    inputs: list[tuple[Tensor, ...]] = [(segmenter.trunk_input(sample.frame),) for sample in frames]
    model = quantize(segmenter.trunk, inputs)
    with tempfile.TemporaryDirectory(prefix="pose-tracking-int8-") as folder:
        trial = Path(folder) / bundle.path.name
        _copy(bundle.path, trial)

        def keep(where: Path, about: dict[str, Any]) -> None:
            weights = where / bundle.segmentation_weights.name
            store(where, segmenter.trunk.name, weights, lambda path: save(model, path), about)

        keep(trial, {})
        plain = PoseTracker(bundle, "cpu", precision="auto")
        before = _figures(plain, sources)
        quantized = PoseTracker(ModelBundle.load(trial, objects), "cpu", precision="int8")
        found = Comparison(before, _figures(quantized, sources), plain.engines["segmentation"], len(inputs))
        if found.objections:
            return found
        if out.resolve() != bundle.path.resolve():
            _copy(bundle.path, out)
        keep(out, _about(found))
    return found


def _about(found: Comparison) -> dict[str, Any]:
    import nncf
    import openvino

    return {
        "nncf": str(nncf.__version__),
        "openvino": str(openvino.get_version()),
        "calibrated_on_frames": found.calibrated_on,
        "before": {**asdict(found.before), "engine": found.engine},
        "int8": asdict(found.int8),
    }


def _figures(tracker: PoseTracker, sources: Sequence[Source]) -> Figures:
    """Over all sources, weighted by their frames."""
    reports = [evaluate(source, tracker, progress=True).data for source in sources]
    weights = np.array([report["frames"] for report in reports], float)
    map50 = [report["segmentation"]["map50"] for report in reports]
    if any(value is None for value in map50):
        raise ConfigError("frames without masks in their ground truth cannot tell the detectors apart: leave them out")
    false = [report["extra"]["false_positives_per_frame"] or 0.0 for report in reports]
    mean = [float(np.average(np.array(values, float), weights=weights)) for values in (map50, false)]
    return Figures(mean[0], mean[1], int(weights.sum()))


def _copy(bundle: Path, out: Path) -> None:
    with atomic_path(out) as temporary:
        shutil.copytree(bundle, temporary, dirs_exist_ok=True)
