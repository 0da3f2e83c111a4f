"""A small gallery with pictures, a recording behind it, and people: what the tests of the web page look at."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import cv2
import numpy as np
from bag_samples import write_bag
from ball_gallery import MeanColor
from ball_scene import COLORS, NAMES, PERIOD_NS, RADIUS, positions, render

from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets.sample import Sample
from pose_tracking.gallery.crops import as_crop, cut_out
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.live import LiveCamera, LiveObject
from pose_tracking.gallery.pictures import decode_crop
from pose_tracking.gallery.recordings import fingerprint_of
from pose_tracking.gallery.sighting import Path, Sighting
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import Progress, Recording
from pose_tracking.web.app import create_app
from pose_tracking.web.config import WebConfig
from pose_tracking.web.users import Role, UserStore

FRAMES = 12
HOUR = 3_600_000_000_000
PASSWORD = "four words make it long"
# Looks along the map's x axis from one metre behind its origin.
POSE = make_transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), [-1.0, 0.0, 0.5])


def ball(camera: str, obj_id: int, track: int, offset_ns: int = 0, move: float = 0.0) -> Sighting:
    """A ball as a camera at `POSE` sees it, `move` metres further along the map's y axis."""
    indices = range(FRAMES)
    stamps = np.array([(i + 1) * PERIOD_NS + offset_ns for i in indices])
    shift = np.array([0.0, move, 0.0])
    places = [make_transform(np.eye(3), POSE[:3, :3] @ positions(i)[obj_id] + POSE[:3, 3] + shift) for i in indices]
    covariances = np.repeat(np.diag(np.repeat([0.003, 0.05], 3) ** 2)[None], FRAMES, 0)
    crops = []
    for i in (2, 8):
        frame = render(i)
        cut = cut_out(frame.color, (frame.color == COLORS[obj_id]).all(-1), int(stamps[i]), None)
        assert cut is not None
        crop = as_crop(cut)
        crops.append(replace(crop, embedding=MeanColor().embed([decode_crop(crop.image)])[0]))
    return Sighting(
        camera, 0, track, 0, obj_id, NAMES[obj_id], int(stamps[0]), int(stamps[-1]), "lab",
        Path(stamps, np.stack(places), covariances), np.full(3, 2 * RADIUS), 0.95, 0.9, FRAMES, crops,
    )  # fmt: skip


def _bag(folder: FilePath) -> FilePath:
    samples = [Sample(replace(render(i), camera_pose=POSE)) for i in range(FRAMES)]
    return write_bag(folder / "left_bag", samples)


def make_gallery(folder: FilePath, with_live: bool = True) -> FilePath:
    """The red and the blue ball, seen by `left` and `right` at one time, and by `door` an hour later, with a copy.

    Identity 1 is the red ball and 2 the blue one; the red ones at the door are two more that may be it.
    """
    bag, path = _bag(folder), folder / "gallery.db"
    seen = {
        "left": [ball("left", 1, 1), ball("left", 2, 2)],
        "right": [ball("right", 1, 1), ball("right", 2, 2)],
        "door": [ball("door", 1, 1, HOUR), ball("door", 1, 2, HOUR, 0.5), ball("door", 2, 3, HOUR)],
    }
    with SqliteStore(path) as store:
        store.use_embedding(MeanColor.kind)
        for camera, sightings in seen.items():
            is_there = camera == "left"
            name, fingerprint = (str(bag), fingerprint_of(bag)) if is_there else (f"gone/{camera}_bag", camera)
            settings = {"model": "demo", "camera": [None, "lab", 0.0, None]}
            recording = store.begin(Recording(camera, name, fingerprint, settings)).id
            progress = Progress(FRAMES, sightings[0].start_ns, sightings[0].end_ns)
            store.add(recording, sightings, progress)
            store.end(recording, progress)
            store.place_camera(camera, "lab", POSE, 1)
        link(store)
        if with_live:
            show_live(store)
    return path


def show_live(store: SqliteStore) -> None:
    """`left` is live and sends a picture, `right` has been silent for a minute."""
    _, picture = cv2.imencode(".jpg", cv2.cvtColor(render(3).color, cv2.COLOR_RGB2BGR))
    objects = tuple(
        LiveObject(NAMES[i], i, make_transform(np.eye(3), [0.1 * i, 0.0, 0.3]), np.full(3, 0.08), 0.9) for i in COLORS
    )
    now = time.time_ns()
    store.write_live(LiveCamera("left", now, now, 10.0, "lab", POSE, objects, bytes(picture)))
    store.write_live(LiveCamera("right", now - 60 * 10**9, now - 60 * 10**9, 9.0, "lab", POSE, objects, None))


def add_people(store: FilePath) -> None:
    """An editor, erin, and a viewer, vera."""
    with contextlib.closing(UserStore(store.with_name(store.name + ".users"))) as users:
        users.add("erin", PASSWORD, Role.EDITOR)
        users.add("vera", PASSWORD, Role.VIEWER)


def client_of(store: FilePath | str, **config: Any) -> Any:
    """A browser without scripts; it is logged in on a server without users."""
    from starlette.testclient import TestClient

    app = create_app(WebConfig(str(store), **config), load=MeanColor)
    client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    client.get("/login")
    return client


def log_in(client: Any, name: str = "erin", password: str = PASSWORD) -> Any:
    """The answer to a log-in."""
    form = client.get("/login")
    token = re.search(r'name="token" value="([^"]+)"', form.text)
    assert token is not None, form.text[:500]
    fields = {"name": name, "password": password, "token": token[1]}
    return client.post("/login", data=fields, follow_redirects=False)


def csrf_of(client: Any) -> str:
    """The token that changes have to carry."""
    return str(client.get("/api/session").json()["csrf"])


def post(client: Any, path: str, **fields: Any) -> Any:
    """Send a form as the page would."""
    files = fields.pop("files", None)
    return client.post(path, data={"csrf": csrf_of(client), **fields}, files=files, follow_redirects=False)


def png(width: int = 40, height: int = 40, color: tuple[int, int, int] = (220, 30, 30)) -> bytes:
    """A PNG of one colour (RGB)."""
    _, data = cv2.imencode(".png", np.full((height, width, 3), color[::-1], np.uint8))
    return bytes(data)


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of an application that real browsers can reach."""
    import uvicorn

    with contextlib.closing(socket.socket()) as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
