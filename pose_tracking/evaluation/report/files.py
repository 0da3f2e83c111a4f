"""The files of a report: JSON, HTML, CSV tables, overlay video; all of them or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pose_tracking.core.files import make_directory, output_errors
from pose_tracking.core.geometry import quaternion_xyzw

from .html import Pictures, render_html
from .results import PoseRow, Report, TrackRow
from .tables import write_csv

REPORT_FILES = ("report.json", "report.html", "poses.csv", "tracks.csv", "overlay.webm")
POSE_COLUMNS = ("scene_id", "im_id", "obj_id", "score", "R", "t", "time")
TRACK_COLUMNS = (
    "scene_id", "im_id", "stamp_ns", "track_id", "obj_id", "name", "x_min", "y_min", "x_max", "y_max",
    "score", "pose_confidence", "x", "y", "z", "qx", "qy", "qz", "qw",
)  # fmt: skip


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
            for name in (*REPORT_FILES, "overlay.mp4"):  # the video where OpenCV writes no VP8
                if not (staging / name).exists():
                    (out / name).unlink(missing_ok=True)
            for file in written:
                os.replace(file, out / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_report(report: Report, folder: Path, pictures: Pictures | None = None) -> None:
    """Write all files of a report but the video into `folder`, usually one of `report_folder`."""
    write_poses(report.poses, folder / "poses.csv")
    write_tracks(report.tracks, folder / "tracks.csv")
    (folder / "report.html").write_text(render_html(report, pictures), encoding="utf-8")
    # Every digit is kept, so that numbers come back as they were; NaN is no JSON and would be a bug of ours.
    (folder / "report.json").write_text(json.dumps(report.data, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_poses(rows: Sequence[PoseRow], path: Path) -> None:
    """Write estimates in the BOP results format: R row-major, t in millimetres, time in seconds."""

    def cells(row: PoseRow) -> list[object]:
        rotation = " ".join(f"{v:.9g}" for v in row.pose[:3, :3].ravel())
        translation = " ".join(f"{v:.9g}" for v in row.pose[:3, 3] * 1e3)
        return [row.scene_id, row.image_id, row.obj_id, f"{row.score:.6g}", rotation, translation, f"{row.time:.6g}"]

    write_csv(path, POSE_COLUMNS, map(cells, rows))


def write_tracks(rows: Sequence[TrackRow], path: Path) -> None:
    """Write confirmed tracks: boxes in pixels, poses in metres and xyzw quaternions, empty where there is none."""

    def cells(row: TrackRow) -> list[object]:
        pose = [""] * 7
        if row.pose is not None:
            pose = [f"{v:.9g}" for v in (*row.pose[:3, 3], *quaternion_xyzw(row.pose[:3, :3]))]
        names = [row.scene_id, row.image_id, row.stamp_ns, row.track_id, row.obj_id, row.name]
        box = [f"{v:.2f}" for v in row.box]
        return [*names, *box, f"{row.score:.6g}", f"{row.pose_confidence:.6g}", *pose]

    write_csv(path, TRACK_COLUMNS, map(cells, rows))
