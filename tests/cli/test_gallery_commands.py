"""`pose-tracking gallery ...` and `search`, on a gallery made of numbers and on the shipped model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gallery_samples import SECOND, filled, sighting
from typer.testing import CliRunner

from pose_tracking.cli.main import build
from pose_tracking.core.errors import ConfigError, DatasetError, FrameError, OutputError, StoreError
from pose_tracking.gallery.crops import encode
from pose_tracking.gallery.sighting import Crop


def run(*arguments: str | Path | int) -> str:
    result = CliRunner().invoke(build(str(arguments[0])), [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def store(place: str) -> str:
    """Two copies seen by two cameras, and a look-alike by a third that sees another room."""
    import numpy as np

    things = [
        sighting("left", 1, 1, 3, (0, 0, 0)),
        sighting("left", 2, 1, 3, (0.3, 0, 0)),
        sighting("right", 1, 1, 3, (0.3, 0, 0)),
        sighting("door", 1, 60, 63, None, map_frame=None),
    ]
    picture = encode(np.full((20, 30, 4), 255, np.uint8))
    for each in things:
        each.crops = [Crop(c.stamp_ns, picture, c.box, 600, 1.0, c.embedding) for c in each.crops]
    filled(place, things)[0].close()
    return place


def test_link_list_and_decide(store: str) -> None:
    assert "4 sightings, 3 identities; links: 1 by place" in run("gallery", "link", "--store", store)
    listed = run("gallery", "list", "--store", store)
    assert "camera door: 1 sightings, place unknown" in listed
    assert "identity 2: mug, 2 sightings by left, right;" in listed
    assert "at (0.30, 0.00, 0.00) m in 'map'" in listed
    assert "2 and 3 are one (gallery confirm 2 3, or gallery reject 2 3)" in listed
    assert "4 sightings, 2 identities" in run("gallery", "confirm", 2, 3, "--store", store)
    assert "identity 2" not in run("gallery", "list", "identity:1", "--store", store)
    assert "4 sightings, 3 identities" in run("gallery", "split", 2, 4, "--store", store)
    assert "4 sightings, 2 identities" in run("gallery", "merge", 1, 2, "--store", store)
    with pytest.raises(ConfigError, match="no identity 77"):
        run("gallery", "reject", 1, 77, "--store", store)
    with pytest.raises(ConfigError, match="max_speed"):
        run("gallery", "link", "--store", store, "--set", "max_speed=-1")


def test_search(store: str, tmp_path: Path) -> None:
    run("gallery", "link", "--store", store)
    found = json.loads(run("search", "class:mug camera:left near:0.3,0,0,0.05", "--store", store, "--json"))
    assert [(f["sighting"], f["identity"], f["camera"], f["recording"]) for f in found] == [(2, 2, "left", "left.bag")]
    assert found[0]["position"] == [0.3, 0, 0]
    assert found[0]["start_s"] == 1.0
    like = json.loads(run("search", "like:1", "--store", store, "--json"))
    assert {f["sighting"] for f in like} == {2, 3, 4}
    assert all(f["distance"] == 0 for f in like)
    assert "place unknown" in run("search", "camera:door", "--store", store)
    assert "nothing found: there is no class 'top'; classes: mug" in run("search", "class:top", "--store", store)
    assert run("search", "class:mug after:-1s", "--store", store) == "nothing found\n"
    for query, message in (("camera:roof", "cameras: door, left, right"), ("like:99", "no such sighting")):
        with pytest.raises(ConfigError, match=message):
            run("search", query, "--store", store)


def test_export(store: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("search", "camera:left", "--store", store, "--export", out)
    rows = json.loads((out / "sightings.json").read_text())
    assert [row["sighting"] for row in rows] == [2, 1]
    assert rows[0]["path"][0]["pose"][0] == [1, 0, 0, 0.3]
    files = {crop["file"] for row in rows for crop in row["crops"]}
    assert files == {p.relative_to(out).as_posix() for p in (out / "crops").iterdir()}
    from pycocotools.coco import COCO

    coco = COCO(str(out / "coco.json"))
    assert len(coco.getImgIds()) == 4
    annotation = coco.loadAnns(coco.getAnnIds())[0]
    assert coco.annToMask(annotation).sum() == annotation["area"] == 600
    with pytest.raises(OutputError, match="exists already"):
        run("search", "camera:left", "--store", store, "--export", out)


def test_forget(store: str) -> None:
    assert "recording 1: left.bag, camera left, 100 frames, cut short" in run("gallery", "list", "--store", store)
    # With the two seen at one time goes what was known of copies.
    assert "2 sightings forgotten\n2 sightings, 1 identities" in run("gallery", "forget", 1, "--store", store)
    assert "left.bag" not in run("gallery", "list", "--store", store)
    with pytest.raises(ConfigError, match="no recording 1"):
        run("gallery", "forget", 1, "--store", store)


def test_prune(store: str) -> None:
    with pytest.raises(ConfigError, match="give --days"):
        run("gallery", "prune", "--store", store)
    assert "0 sightings forgotten" in run("gallery", "prune", "--store", store, "--megabytes", 10)
    # These are of 1970.
    assert "4 sightings forgotten" in run("gallery", "prune", "--store", store, "--days", 1)


@pytest.mark.parametrize("command", [("gallery", "list"), ("gallery", "link"), ("search",)])
def test_no_gallery(place: str, command: tuple[str, ...]) -> None:
    for _ in range(2):  # the first has not made one
        with pytest.raises(StoreError, match=r"no (such )?gallery; `pose-tracking gallery ingest` makes one"):
            run(*command, "--store", place)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("simulated:1", "--camera", "../x"), ConfigError, "camera name '../x'"),
        (("none", "--camera", "a"), DatasetError, "none: no such file or folder"),
        (("simulated:1-2", "--camera", "a", "--start", "2026-01-01"), ConfigError, "one by one"),
        (("simulated:1", "--camera", "a", "--start", "noon"), ConfigError, "--start 'noon': no time"),
        (("simulated:1", "--camera", "a", "--camera-pose", "none.yaml"), ConfigError, "none.yaml: cannot be read"),
        (("simulated:1", "--camera", "a", "--set", "gallery.crops=99"), ConfigError, "crops = 99"),
        (("simulated:1", "--camera", "a", "--set", "simulated.view=99"), ConfigError, "view = 99"),
        (("simulated:x", "--camera", "a"), ConfigError, "expected simulated:SEED"),
        (("simulated:1",), ConfigError, "--camera NAME is missing"),
        (("simulated:1", "--camera", "a", "--engine", "local"), ConfigError, "--engine is for a list of recordings"),
        (("simulated:1", "--camera", "a", "--part", "0/2"), ConfigError, "--part is for a list of recordings"),
        (("none.yaml",), ConfigError, "none.yaml: cannot be read as a list of recordings"),
        (("LIST", "--camera", "a", "--engine", "dask"), ConfigError, "--engine dask: expected local or ray"),
        (("LIST", "--camera", "a", "--address", "h:1"), ConfigError, "add --engine ray"),
        (("LIST", "--camera", "a", "--part", "2/2"), ConfigError, "--part 2/2: expected I/N with I from 0 to N - 1"),
        (("LIST", "--camera", "a", "--part", "0/2"), ConfigError, "a file has one writer: give --store postgresql"),
        (("LIST", "--start", "2026-01-01"), ConfigError, "--start is of one recording: a list says it for each"),
        (("LIST", "--camera", "../x"), ConfigError, "recording 1: camera name '../x'"),
    ],
)
def test_what_cannot_be_ingested(
    tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    manifest = tmp_path / "list.yaml"
    manifest.write_text("recordings: ['simulated:1']\n")
    given = [str(manifest) if text == "LIST" else text for text in arguments]
    with pytest.raises(error, match=message):
        run("gallery", "ingest", *given, "--store", tmp_path / "gallery.db")
    assert not (tmp_path / "gallery.db").exists()


def test_a_list_from_end_to_end(place: str, tmp_path: Path) -> None:
    """The shipped model on two recordings, in another process; the third is not there."""
    manifest = tmp_path / "list.yaml"
    manifest.write_text(
        "defaults: {max_frames: 3, map: lab, start: 2026-11-29T10:00:00}\n"
        "recordings:\n"
        "- {recording: 'simulated:71001', camera: left, set: [simulated.frames=4]}\n"
        "- {recording: 'simulated:71001', camera: right, set: [simulated.frames=4, simulated.view=1]}\n"
        "- {recording: none, camera: door}\n"
    )
    command = ["gallery", "ingest", str(manifest), "--store", place, "--workers", "1", "--threads", "1"]
    result = CliRunner().invoke(build("gallery"), command)
    assert isinstance(result.exception, DatasetError)
    assert str(result.exception) == "1 of 3 recordings, see above"
    assert "error: " in result.output
    assert "/none: no such file or folder" in result.output
    assert "2 taken in, 0 there before, 1 failed" in result.output
    found = json.loads(run("search", "after:2026-11-29T10:00 map:lab", "--store", place, "--json"))
    assert {f["camera"] for f in found} == {"left", "right"}
    assert all(f["identity"] for f in found)
    again = CliRunner().invoke(build("gallery"), command)
    assert "0 taken in, 2 there before, 1 failed" in again.output
    # What was taken in one by one is known to a list, too, and the other way round.
    single = ("gallery", "ingest", "simulated:71001", "--camera", "left", "--store", place, "--max-frames", 3)
    told = run(*single, "--set", "simulated.frames=4", "--map", "lab", "--start", "2026-11-29T10:00:00", "--threads", 1)
    assert "in the gallery already (3 frames of camera 'left')\n" in told


def test_a_simulated_recording_from_end_to_end(tmp_path: Path) -> None:
    """The shipped model on three frames: ingested, given again, found by a picture of its own."""
    store, out = tmp_path / "gallery.db", tmp_path / "out"
    command = ("gallery", "ingest", "simulated:71001", "--camera", "left", "--store", store, "--max-frames", 3)
    settings = ("--set", "simulated.frames=4", "--threads", 1)
    told = run(*command, *settings, "--start", "2026-11-29T10:00")
    assert "simulated 71001: 3 frames, " in told
    again = run(*command, *settings)
    assert "in the gallery already (3 frames of camera 'left'), with other options" in again
    found = json.loads(run("search", "after:2026-11-29T10:00 before:2026-11-29T10:01", "--store", store, "--json"))
    assert len(found) >= 3
    assert {f["frame"] for f in found} == {"simulated 71001"}
    run("search", f"like:{found[0]['sighting']}", "--store", store, "--export", out)
    rows = json.loads((out / "sightings.json").read_text())
    picture = out / rows[0]["crops"][0]["file"]
    best = json.loads(run("search", "--like", picture, "--store", store, "--json"))[0]
    assert best["sighting"] == rows[0]["sighting"]
    assert best["distance"] < 0.01
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(FrameError, match="no PNG, JPEG or WebP"):
        run("search", "--like", tmp_path / "text.png", "--store", store)
    with pytest.raises(StoreError, match="than model 'linemod' gives"):
        run("search", "--like", picture, "--model", "linemod", "--store", store)


def test_the_pose_of_a_camera(tmp_path: Path) -> None:
    import numpy as np

    from pose_tracking.gallery.camera_place import read_camera_place

    path = tmp_path / "camera.yaml"
    path.write_text("map: lab\nposition: [1, 2, 3]\nquaternion_xyzw: [0, 0, 0.7071068, 0.7071068]\n")
    place = read_camera_place(path)
    assert place.map_frame == "lab"
    np.testing.assert_allclose(place.pose, [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], atol=1e-6)
    path.write_text(json.dumps({"matrix": place.pose.tolist()}))
    np.testing.assert_allclose(read_camera_place(path).pose, place.pose)
    for text, message in (
        ("position: [1, 2, 3]", "expected position"),
        ("position: [1, 2]\nquaternion_xyzw: [0, 0, 0, 1]", "position is not 3 numbers"),
        ("position: [1, 2, 3]\nquaternion_xyzw: [0, 0, 0, 2]", "has not the length 1"),
        ("matrix: [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]", "no rotation"),
        ("matrix: x", "matrix is not 4 x 4 numbers"),
        ("position: [.nan, 2, 3]\nquaternion_xyzw: [0, 0, 0, 1]", "position is not 3 numbers"),
        ("pose: 1", "unknown key 'pose'"),
        ("[", "cannot be read"),
        ("", "expected position"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_camera_place(path)


def test_times_of_day_are_of_the_newest_day(store: str) -> None:
    from pose_tracking.gallery.query import moment_of

    of = moment_of(62 * SECOND)
    assert "sighting 4" in run("search", f"after:{of:%H:%M:%S}", "--store", store)
    assert "sighting 1" not in run("search", f"after:{of:%H:%M:%S}", "--store", store)


def test_scenes_of_one_name_are_worlds_of_their_own(tmp_path: Path) -> None:
    """A simulated world in two BOP scenes called 000000: nothing is in one place, though numbers say so."""
    import numpy as np
    from synthetic_samples import make_sample

    from pose_tracking.datasets import BopWriter, open_source
    from pose_tracking.gallery.jobs import IngestJob, camera_settings

    maps = []
    for folder in ("a", "b"):
        with BopWriter(tmp_path / folder / "000000") as writer:
            writer.add(make_sample(0, 10**9))
        source = open_source(tmp_path / folder / "000000")
        job = IngestJob(str(tmp_path / folder / "000000"), "left")
        maps.append(camera_settings(job, source).map_frame)
        assert camera_settings(replace(job, map_frame="lab"), source).map_frame == "lab"
    assert maps[0] != maps[1]
    pose = tmp_path / "camera.yaml"
    pose.write_text("position: [1, 2, 3]\nquaternion_xyzw: [0, 0, 0, 1]\n")
    for offset in (float("nan"), float("inf"), -1e12):
        with pytest.raises(ConfigError, match="--clock-offset .*expected seconds"):
            camera_settings(IngestJob("x", "left", clock_offset=offset))
    given = camera_settings(IngestJob("x", "left", camera_pose=str(pose), clock_offset=2.5), source)
    assert (given.map_frame, given.clock_offset_ns) == ("map", 2_500_000_000)
    assert given.pose is not None
    np.testing.assert_array_equal(given.pose[:3, 3], [1, 2, 3])
