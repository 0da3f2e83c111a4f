"""Lists of recordings: YAML and CSV say the same, and what is wrong is one line that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.jobs import IngestJob
from pose_tracking.gallery.manifest import is_manifest, read_manifest

COMMON = IngestJob("", "", settings=("pipeline.segment_every=2",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("left_1", "left_2", "door"):
        (tmp_path / "bags" / name).mkdir(parents=True)
    (tmp_path / "door.yaml").write_text("position: [1, 2, 3]\nquaternion_xyzw: [0, 0, 0, 1]\n")
    return tmp_path


def test_yaml_and_csv_say_the_same(folder: Path) -> None:
    (folder / "list.yaml").write_text(
        "defaults: {map: lab, set: [gallery.crops=6]}\n"
        "recordings:\n"
        "- {recording: 'bags/left_*', camera: left, max_frames: 100}\n"
        "- {recording: bags/door, camera: 2, camera_pose: door.yaml, clock_offset: 3.5, start: 2026-11-29T10:00:00,\n"
        "   model: linemod, set: [tracking.max_age=9]}\n"
        "- {recording: 'simulated:1-2', camera: sim, set: [simulated.view=1]}\n"
    )
    (folder / "list.csv").write_text(
        "recording,camera,map,camera_pose,clock_offset,start,model,max_frames,set\n"
        "bags/left_*,left,lab,,,,,100,gallery.crops=6\n"
        "bags/door,2,lab,door.yaml,3.5,2026-11-29T10:00:00,linemod,,gallery.crops=6 tracking.max_age=9\n"
        "simulated:1-2,sim,lab,,,,,,gallery.crops=6 simulated.view=1\n"
    )
    jobs = read_manifest(folder / "list.yaml", COMMON)
    assert read_manifest(folder / "list.csv", COMMON) == jobs
    bags, every = str(folder / "bags"), ("pipeline.segment_every=2", "gallery.crops=6")
    assert jobs == [
        IngestJob(f"{bags}/left_1", "left", map_frame="lab", settings=every, max_frames=100),
        IngestJob(f"{bags}/left_2", "left", map_frame="lab", settings=every, max_frames=100),
        IngestJob(
            f"{bags}/door", "2", "linemod", None, str(folder / "door.yaml"), "lab", 3.5, "2026-11-29T10:00:00",
            (*every, "tracking.max_age=9"),
        ),
        IngestJob("simulated:1", "sim", map_frame="lab", settings=(*every, "simulated.view=1")),
        IngestJob("simulated:2", "sim", map_frame="lab", settings=(*every, "simulated.view=1")),
    ]  # fmt: skip


def test_a_list_of_paths_with_one_camera(folder: Path) -> None:
    (folder / "list.yml").write_text("defaults: {camera: left}\nrecordings: [bags/left_1, /elsewhere/none]\n")
    jobs = read_manifest(folder / "list.yml", COMMON)
    # One that is not there is a failure of its own, when it is its turn.
    assert [job.recording for job in jobs] == [str(folder / "bags" / "left_1"), "/elsewhere/none"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", r"list.yaml: cannot be read as a list of recordings \(line 1"),
        ("", "expected recordings:"),
        ("recordings: []", "names no recording"),
        ("recordings: [{recording: a}]", "recording 1: camera is missing"),
        ("recordings: [{camera: a}]", "recording 1: recording is missing"),
        ("recordings: [{recording: a, camera: a, speed: 1}]", "recording 1: unknown key 'speed'; keys: recording, "),
        ("recordings: [{recording: a, camera: ../x}]", "recording 1: camera name '../x'"),
        ("recordings: [{recording: a, camera: a}, {recording: a, camera: b}]", "/a stands there twice"),
        ("recordings: [{recording: 'no*', camera: a}]", "recording 1: nothing fits .*/no\\*"),
        ("recordings: [{recording: a, camera: a, clock_offset: soon}]", "clock_offset = 'soon': expected a number"),
        ("recordings: [{recording: a, camera: a, clock_offset: .nan}]", "clock_offset = nan: expected a number"),
        ("recordings: [{recording: a, camera: a, max_frames: 0}]", "max_frames = 0: expected a whole number above 0"),
        ("recordings: [{recording: a, camera: a, max_frames: 1.5}]", "max_frames = 1.5: expected a whole number"),
        ("recordings: [{recording: a, camera: a, start: noon}]", "recording 1: --start 'noon': no time"),
        ("recordings: [{recording: a, camera: a, set: [gallery.crops=99]}]", "recording 1: .*crops = 99"),
        ("recordings: [{recording: a, camera: a, set: [simulated.view=1]}]", "is not simulated"),
        ("recordings: [{recording: a, camera: a, set: {x: 1}}]", "expected a list of NAME=VALUE"),
        ("recordings: [{recording: a, camera: a, camera_pose: none.yaml}]", "none.yaml: cannot be read"),
        ("recordings: [{recording: a, camera: true}]", "camera = True: expected a text"),
        ("recordings: [7]", "recording 1: is no mapping"),
        ("defaults: 7\nrecordings: [a]", "defaults: is no mapping"),
        ("records: [a]", "expected recordings:"),
        ("recordings: [a]\nmore: 1", "unknown key 'more'"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, text: str, message: str) -> None:
    (folder / "list.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_manifest(folder / "list.yaml", COMMON)
    assert "\n" not in str(caught.value)


def test_a_csv_with_too_many_values(folder: Path) -> None:
    (folder / "list.csv").write_text("recording,camera\nbags/door,a,b\n")
    with pytest.raises(ConfigError, match="line 2: has more values than the first line has keys"):
        read_manifest(folder / "list.csv", COMMON)


def test_what_is_a_manifest(folder: Path) -> None:
    assert is_manifest(str(folder / "door.yaml"))
    assert is_manifest("none.csv")
    assert not is_manifest(str(folder / "bags" / "door"))
    (folder / "scene.yaml").mkdir()
    assert not is_manifest(str(folder / "scene.yaml"))
    assert not is_manifest("simulated:1")
