"""The demo: a bag played over DDS into the tracker node in its own process, and its answers scored."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import OutputError, PoseTrackingError
from pose_tracking.datasets.bag.reader import BagReader
from pose_tracking.datasets.bag.writer import FIXED_FRAME, BagWriter
from pose_tracking.evaluation import score_to_folder
from pose_tracking.evaluation.report import plots
from pose_tracking.evaluation.report.files import check_writable
from pose_tracking.evaluation.report.results import Report
from pose_tracking.objects import ObjectSet
from pose_tracking.ros.node.dds_profile import use_image_profile

from .process import NODE_MODULE, camera_preset, start_node, stop_node
from .session import Answers, NodeSession

PLOTS = ("add_curves", "recall_bars", "latency_histograms", "track_timelines")


@dataclass(frozen=True)
class DemoOptions:
    """What to show.

    Attributes:
        out: folder for bag, log, report, plots and video.
        model: name or folder of the model bundle.
        objects: folder with the meshes of a bundle that does not ship them.
        bag: bag to play; None simulates one.
        frames, seed: length of the simulated sequence, and what makes it repeatable.
        rate: speed of the replay, 1 is real time; 0: as fast as the node answers.
        camera: preset for the topics of `bag`.
        min_visib: ground truth less visible than this is ignored.
        parameters: further parameters of the node.
        module: module that runs the node.
    """

    out: Path
    model: str = "demo"
    objects: Path | None = None
    bag: Path | None = None
    frames: int = 60
    seed: int = 0
    rate: float = 0.0
    camera: str = "default"
    min_visib: float = 0.3
    parameters: Mapping[str, Any] = field(default_factory=dict)
    module: str = NODE_MODULE


def run_demo(options: DemoOptions, known_objects: ObjectSet | None = None) -> tuple[Report, Answers]:
    """Run the demo; report, plots and video lie in ``options.out`` afterwards.

    Args:
        options: what to show.
        known_objects: the object set, where the model is not a bundle on disk.

    Raises:
        PoseTrackingError: a model, bag or folder that cannot be used, or a node that ended; the message names it.
    """
    out = check_writable(options.out)
    objects = known_objects or ModelBundle.load(options.model, options.objects).objects
    parameters: dict[str, Any] = {
        "model": options.model,
        "objects": str(options.objects or ""),
        "autostart": True,
        **options.parameters,
    }
    bag = options.bag
    if bag is None:
        bag = simulate_bag(objects, out / "bag", options.frames, options.seed)
        parameters.setdefault("fixed_frame", FIXED_FRAME)
    reader = BagReader(bag)
    answers = play_into_node(reader, parameters, options)
    if not answers.results:
        raise PoseTrackingError(f"{bag}: the node answered to none of {answers.frames} frames; see {out / 'node.log'}")
    report = score_to_folder(
        reader,
        answers.results,
        objects,
        out,
        source=reader.name,
        model=options.model,
        min_visib=options.min_visib,
    )
    write_plots(report, out)
    return report, answers


def simulate_bag(objects: ObjectSet, path: Path, frames: int, seed: int) -> Path:
    """Simulate a sequence of the objects into the bag `path`, in place of one of an earlier demo."""
    from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

    if (path / "metadata.yaml").is_file():
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise OutputError(f"{path}: the bag of an earlier demo cannot be removed ({error.strerror})") from error
    samples = SequenceSimulator(objects, SequenceConfig(frames=frames), seed)
    with BagWriter(path, objects=objects) as writer:
        for sample in tqdm(samples, total=frames, desc="simulate", unit="frame"):
            writer.add(sample)
    return path


def play_into_node(bag: BagReader, parameters: Mapping[str, Any], options: DemoOptions) -> Answers:
    """Start the node, play the bag into it, stop it."""
    use_image_profile()
    log = options.out / "node.log"
    with log.open("wb") as output:
        node = start_node(
            parameters,
            camera_preset(options.camera),
            module=options.module,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        bar = tqdm(total=len(bag), desc="track", unit="frame")
        with bar, NodeSession(node, log) as session:
            return session.play(bag.path, bag.topics, options.rate, bar.update)
    finally:
        stop_node(node)


def write_plots(report: Report, out: Path) -> None:
    """Write the figures of the report as PNG files."""
    for name in PLOTS:
        image = getattr(plots, name)(report)
        if image is not None:
            (out / f"{name}.png").write_bytes(image)
