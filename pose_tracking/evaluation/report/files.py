"""The files of a report: JSON, HTML, CSV tables, overlay video; all of them or none."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pose_tracking.core.files import make_directory, output_errors
from pose_tracking.core.geometry import quaternion_xyzw
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.visualization.overlay import OverlayPainter
from pose_tracking.visualization.video import VideoWriter

from .html import Picture, render_html
from .results import FrameResult, PoseRow, Report, TrackRow

REPORT_FILES = ("report.json", "report.html", "poses.csv", "tracks.csv", "overlay.mp4")
POSE_COLUMNS = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")
TRACK_COLUMNS = (
    "scene_id", "im_id", "stamp_ns", "track_id", "obj_id", "name", "x_min", "y_min", "x_max", "y_max",
    "score", "pose_confidence", "x", "y", "z", "qx", "qy", "qz", "qw",
)  # fmt: skip
PICTURES = 6


def check_writable(out: str | Path) -> Path:
    """Make folder `out` where needed and prove that a file can be written into it, before long work begins.

    Raises:
        OutputError: it cannot.
    """
    out = make_directory(out)
    with output_errors(out), tempfile.NamedTemporaryFile(dir=out, prefix=".report-") as file:
        file.write(bytes(4096))
        file.flush()
    return out


@contextmanager
def report_folder(out: str | Path) -> Iterator[Path]:
    """A staging folder inside `out`; its files move to `out` together when the block ends well.

    Entering it proves that `out` can be written, so that a long run does not end in an error that could have been
    known before. Files of an earlier report give way, even those the new one does not have.

    Raises:
        OutputError: the operating system refused a write; nothing of the new report is left then.
    """
    out = check_writable(out)
    with output_errors(out):
        staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out))
    try:
        with output_errors(out):
            yield staging
            written = sorted(staging.iterdir())
            for name in REPORT_FILES:
                if not (staging / name).exists():
                    (out / name).unlink(missing_ok=True)
            for file in written:
                os.replace(file, out / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_report(report: Report, folder: Path, pictures: Sequence[Picture] = (), note: str = "") -> None:
    """Write all files of a report but the video into `folder`, usually one of `report_folder`."""
    write_poses(report.poses, folder / "poses.csv")
    write_tracks(report.tracks, folder / "tracks.csv")
    (folder / "report.html").write_text(render_html(report, pictures, note), encoding="utf-8")
    # Round trip of the numbers matters more than their looks; NaN is no JSON and would be a bug of ours.
    (folder / "report.json").write_text(json.dumps(report.data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_poses(rows: Sequence[PoseRow], path: Path) -> None:
    """Write estimates in the BOP results format: R row-major, t in millimetres, time in seconds."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(POSE_COLUMNS)
        for row in rows:
            rotation = " ".join(f"{v:.9g}" for v in row.pose[:3, :3].ravel())
            translation = " ".join(f"{v:.9g}" for v in row.pose[:3, 3] * 1e3)
            writer.writerow(
                [row.scene_id, row.image_id, row.obj_id, f"{row.score:.6g}", rotation, translation, f"{row.time:.6g}"]
            )


def write_tracks(rows: Sequence[TrackRow], path: Path) -> None:
    """Write confirmed tracks: boxes in pixels, poses in metres and xyzw quaternions, empty where there is none."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TRACK_COLUMNS)
        for row in rows:
            pose: list[str] = [""] * 7
            if row.pose is not None:
                pose = [f"{v:.9g}" for v in (*row.pose[:3, 3], *quaternion_xyzw(row.pose[:3, :3]))]
            writer.writerow(
                [row.scene_id, row.image_id, row.stamp_ns, row.track_id, row.obj_id, row.name]
                + [f"{v:.2f}" for v in row.box]
                + [f"{row.score:.6g}", f"{row.pose_confidence:.6g}", *pose]
            )


class Recorder:
    """Draws the frames of a run: the overlay video and a few pictures for the HTML report.

    Args:
        folder: where ``overlay.mp4`` is written.
        objects: the object set.
        frames: expected number of frames, over which the pictures are spread.
        fps: frame rate of the video.
        video: whether to write one.
    """

    def __init__(self, folder: Path, objects: ObjectSet, frames: int, *, fps: float = 10.0, video: bool = True) -> None:
        self.pictures: list[Picture] = []
        self._painter = OverlayPainter(objects)
        self._chosen = set(np.linspace(0, max(frames - 1, 0), PICTURES + 1).round().astype(int).tolist())
        self._video = VideoWriter(folder / "overlay.mp4", fps) if video else None
        self._frame = 0

    @property
    def note(self) -> str:
        """What went wrong with the video, empty if nothing did."""
        return "" if self._video is None else self._video.note

    def add(self, sample: Sample, result: FrameResult) -> None:
        """Draw one frame."""
        wanted = self._frame in self._chosen
        self._frame += 1
        if self._video is None and not wanted:
            return
        image = self._painter.draw(sample.frame, result.objects)
        if self._video is not None:
            self._video.write(image)
        if wanted:
            encoded, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
            if encoded:
                caption = f"scene {sample.scene_id}, stamp {sample.frame.stamp:.3f} s"
                self.pictures.append(Picture(data.tobytes(), "image/jpeg", caption))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close(check=error is None)
