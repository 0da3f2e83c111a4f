"""What must not get in: SQL and HTML in names, ways out of the folder, pictures that are none, broken stores."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import apsw
import httpx2 as httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("argon2")
from web_gallery import ball, client_of, csrf_of, make_gallery, png, post

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.pictures import MAX_BYTES
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import Progress, Recording

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; DROP TABLE sightings; --", "{{ 7 * 7 }}",
    "' onmouseover='alert(1)", "</svg><script>alert(1)</script>", "\u202egnp.exe", "a\x00b",
)  # fmt: skip
WAYS_OUT = (
    "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "....//....//etc/passwd", "..\\..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd", "%00", "/etc/passwd",
    "..%c0%af..%c0%afetc/passwd", "file:///etc/passwd", "..;/..;/etc/passwd",
)  # fmt: skip


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return client_of(make_gallery(tmp_path_factory.mktemp("gallery")))


@pytest.fixture(scope="module")
def named_badly(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gallery whose classes, maps, recordings and events carry hostile names, as others' files may."""
    path = tmp_path_factory.mktemp("hostile") / "gallery.db"
    make_gallery(path.parent, with_live=False)
    with SqliteStore(path) as store:
        recording = store.begin(Recording("yard", HOSTILE[1], "yard", {"model": HOSTILE[0]})).id
        added = [ball("yard", 1, n) for n in range(len(HOSTILE))]
        for sighting, name in zip(added, HOSTILE, strict=True):
            sighting.class_name, sighting.map_frame = name, name
        progress = Progress(12, added[0].start_ns, added[0].end_ns)
        store.add(recording, added, progress)
        store.place_camera("yard", HOSTILE[0], added[0].path.poses[0], 1)
        link(store)
    return client_of(path)


class Tags(HTMLParser):
    """(tag, attributes) of all elements of a page, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_names_are_text_on_every_page(named_badly: Any) -> None:
    with SqliteReader(named_badly.app.state.web.config.store) as gallery:
        sightings = gallery.find(Filter(cameras=("yard",)))
    paths = ["/identities", "/review", "/cameras", "/search?q=camera:yard", "/live"]
    paths += [f"/identities/{s.identity}/matches" for s in sightings] + [f"/sightings/{s.id}" for s in sightings]
    for path in paths:
        answer = named_badly.get(path)
        assert answer.status_code == 200, path
        tags = Tags(answer.text).found
        assert all(
            set(attributes) == {"src", "type"} or set(attributes) == {"src"}
            for tag, attributes in tags
            if tag == "script"
        )
        assert all(str(attributes["src"]).startswith("/") for tag, attributes in tags if tag in ("script", "img")), path
        assert not any(name.startswith("on") for _, attributes in tags for name in attributes), path
        assert "49" not in re.findall(r'class="name">([^<]*)<', answer.text), path  # 7 * 7
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in named_badly.get("/identities").text


@pytest.mark.parametrize("value", HOSTILE)
def test_what_is_written_into_fields_is_text(looked_at: Any, value: str) -> None:
    for path, fields in (
        ("/identities", ("class", "camera", "text", "after", "before")), ("/search", ("q", "picture")),
        ("/identities/1/matches", ("camera", "near", "after", "before")), ("/api/sightings", ("q", "picture")),
        ("/api/identities/1/matches", ("camera", "near", "map")), ("/login", ("next",)),
    ):  # fmt: skip
        for field in fields:
            answer = looked_at.get(path, params={field: value}, follow_redirects=False)
            assert answer.status_code in (200, 303, 400), (path, field, answer.status_code)
            if answer.headers.get("content-type", "").startswith("text/html"):
                tags = Tags(answer.text).found
                assert all(str(a["src"]).startswith("/") for tag, a in tags if tag in ("script", "img")), (path, field)
                assert not any(name.startswith("on") for _, a in tags for name in a), (path, field)
    with SqliteReader(looked_at.app.state.web.config.store) as gallery:
        assert len(gallery.find(Filter())) == 7


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_address_leads_out(looked_at: Any, way: str) -> None:
    for before in (
        "/static/", "/identities/", "/sightings/", "/sightings/1/crops/", "/sightings/1/frames/", "/cameras/",
        "/search/picture/", "/api/", "/api/sightings/", "/",
    ):  # fmt: skip
        for after in ("", "/picture", "/thumbnail"):
            answer = looked_at.get(before + way + after)
            assert answer.status_code in (200, 400, 404, 405), (before + way, answer.status_code)
            assert "root:" not in answer.text
            if answer.status_code == 200:  # what the client itself has made of the dots
                assert answer.url.path in ("/api", "/identities", "/etc/passwd") or "passwd" not in str(answer.url)


def test_a_raw_request_does_not_lead_out(looked_at: Any) -> None:
    """Not tidied up by a client."""
    import anyio

    cookie = f"pose_session={looked_at.cookies['pose_session']}"

    async def ask(raw: bytes) -> tuple[int, bytes]:
        sent: list[Any] = []
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": raw.decode(), "raw_path": raw, "query_string": b"", "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), (b"cookie", cookie.encode())],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await looked_at.app(scope, receive, send)
        return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])

    for raw in (
        b"/static/../app.py",
        b"/static/../../../../../../etc/passwd",
        b"/static//etc/passwd",
        b"/static/./../config.py",
    ):
        status, body = anyio.run(ask, raw)
        assert status == 404, raw
        assert b"import" not in body
        assert b"root:" not in body


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e3", "99999999999999999999999", "abc", "%20", "1;2", "٣"])
def test_numbers_that_are_none(looked_at: Any, number: str) -> None:
    for path in ("/identities/{}", "/sightings/{}", "/identities/{}/thumbnail", "/api/sightings/{}"):
        assert looked_at.get(path.format(number)).status_code == 404, path


@pytest.mark.parametrize(
    "fields", [{"other": "x"}, {"other": "-1"}, {"other": "9" * 30}, {}, {"other": "1"}, {"other": "99"}]
)
def test_decisions_about_nothing(looked_at: Any, fields: dict[str, str]) -> None:
    answer = post(looked_at, "/identities/1/accept", **fields)
    assert answer.status_code == 400
    assert "That cannot be read" in answer.text


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred kilobytes that unpacks to width * height * 3 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (width * 3 + 1)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 200))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"<svg onload=alert(1)>", "is no PNG, JPEG or WebP"), (b"GIF89a" * 50, "is no PNG"),
     (png()[:60], "icture"), (bomb(60_000, 60_000), "more than 40 million"), (png(4, 4), "smaller than 8"),
     (b"\xff\xd8" + b"\xff" * 5000, "is no PNG"), (b"PK\x03\x04" * 100, "is no PNG")],
)  # fmt: skip
def test_pictures_that_are_none(looked_at: Any, data: bytes, message: str) -> None:
    files = {"picture": ("../../etc/cron.d/x.png", data, "image/png")}
    answer = post(looked_at, "/search/picture", files=files)
    assert answer.status_code == 400
    assert message in answer.text
    api = looked_at.post("/api/search/picture", files=files, headers={"X-CSRF-Token": csrf_of(looked_at)})
    assert api.status_code == 400
    assert message in api.json()["error"]


def test_no_picture_at_all(looked_at: Any) -> None:
    answer = post(looked_at, "/search/picture", files={"picture": ("", b"", "application/octet-stream")})
    assert answer.status_code == 400
    answer = post(looked_at, "/search/picture", files={"picture": ("a.png", b"", "image/png")})
    assert "No picture was chosen" in answer.text


def test_200_megabytes_are_not_even_read(looked_at: Any) -> None:
    """A length that is stated is refused at once; one that is not, as soon as it is too long."""
    sent = 0

    def body() -> Any:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n'
        for _ in range(200):
            sent += 1
            yield b"\0" * 1_000_000

    headers = {"Content-Type": "multipart/form-data; boundary=x", "X-CSRF-Token": csrf_of(looked_at)}
    stated = looked_at.post("/search/picture", content=b"x", headers={**headers, "Content-Length": "200000000"})
    assert stated.status_code == 413
    assert looked_at.post("/search/picture", content=body(), headers=headers).status_code == 413
    assert looked_at.post("/identities/1/accept", content=b"other=1&" * 20_000, headers=headers).status_code == 413
    assert MAX_BYTES < 200_000_000
    assert looked_at.get("/identities").status_code == 200


def test_a_store_that_is_missing_or_comes_and_goes(tmp_path: Path) -> None:
    client = client_of(tmp_path / "later.db")
    answer = client.get("/identities")
    assert answer.status_code == 503
    assert "No such gallery" in answer.text or "no such gallery" in answer.text
    assert client.get("/api/identities").json()["error"]
    assert not (tmp_path / "later.db").exists()  # looking makes none
    assert post(client, "/identities/1/accept", other=2).status_code == 503
    assert not (tmp_path / "later.db").exists()
    make_gallery(tmp_path).rename(tmp_path / "later.db")
    assert client.get("/identities").status_code == 200
    (tmp_path / "later.db").unlink()
    assert client.get("/identities").status_code == 503


def test_stores_of_another_version_of_others_and_damaged(tmp_path: Path) -> None:
    path = make_gallery(tmp_path, with_live=False)
    client = client_of(path)
    with SqliteReader(path) as gallery:
        gallery._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    database = apsw.Connection(str(path))
    database.execute("PRAGMA user_version = 99")
    database.close()
    answer = client.get("/identities")
    assert answer.status_code == 503
    assert "version 99" in answer.text
    path.write_bytes(b"not a database" * 100)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert "not a gallery" in client.get("/identities").text
    path.write_bytes(b"")
    assert client.get("/identities").status_code == 503
    assert client.get("/live").status_code == 503
    assert client.get("/static/app.css").status_code == 200


def test_pages_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    path = make_gallery(tmp_path)
    client = client_of(path)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE sightings SET frames = 5")
    began = time.monotonic()
    for page in ("/identities", "/identities/1", "/search?q=red", "/cameras"):
        assert client.get(page).status_code == 200
    assert time.monotonic() - began < 9  # a writer is waited for 10 s
    writer.execute("ROLLBACK")
    writer.close()


def test_a_writer_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.gallery import sqlite_schema

    monkeypatch.setattr(sqlite_schema, "BUSY_S", 1)
    path = make_gallery(tmp_path, with_live=False)
    client = client_of(path)
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    answer = post(client, "/identities/1/accept", other=3)
    assert answer.status_code == 503
    assert "another process has been writing" in answer.text
    writer.execute("ROLLBACK")
    writer.close()
    assert post(client, "/identities/1/accept", other=3).status_code == 303


def test_a_recording_that_is_another_one_now(tmp_path: Path) -> None:
    path = make_gallery(tmp_path, with_live=False)
    (bag,) = tmp_path.glob("left_bag")
    (bag / "more.txt").write_text("x")
    assert "its content has changed since" in client_of(path).get("/sightings/1").text


def test_a_recording_that_has_moved_is_found(tmp_path: Path) -> None:
    path = make_gallery(tmp_path, with_live=False)
    (tmp_path / "archive").mkdir()
    (tmp_path / "left_bag").rename(tmp_path / "archive" / "left_bag")
    assert "--recordings FOLDER" in client_of(path).get("/sightings/1").text
    client = client_of(path, recordings=(tmp_path / "archive",))
    assert client.get("/sightings/1/frames/0").status_code == 200


def test_a_recording_that_is_damaged(tmp_path: Path) -> None:
    from pose_tracking.gallery.recordings import fingerprint_of

    path = make_gallery(tmp_path, with_live=False)
    (data,) = [f for f in (tmp_path / "left_bag").iterdir() if f.suffix in (".mcap", ".db3")]
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    database = apsw.Connection(str(path))
    database.execute("UPDATE recordings SET fingerprint = ? WHERE id = 1", (fingerprint_of(tmp_path / "left_bag"),))
    database.close()
    answer = client_of(path).get("/sightings/1")
    assert answer.status_code == 200
    assert "The recording cannot be played" in answer.text
    assert "damaged" in answer.text or "cut off" in answer.text


def test_a_fault_of_the_program_tells_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(make_gallery(tmp_path, with_live=False))

    def fail(_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(SqliteReader, "classes", fail)
    answer = client.get("/identities")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "Something went wrong" in answer.text


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_is_killed_has_lost_no_decision(tmp_path: Path, seed: int) -> None:
    """kill -9 at a random moment while decisions come in: what was answered is there, and the store opens."""
    path = make_gallery(tmp_path, with_live=False)
    command = [sys.executable, "-m", "pose_tracking.cli", "web", "--store", str(path), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr is not None
        address = ""
        for line in server.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                address = found[1]
                break
        assert address, "the server did not start"
        acknowledged: list[str] = []
        with httpx.Client(base_url=address, timeout=60) as client:
            client.get("/login", follow_redirects=True)
            headers = {"X-CSRF-Token": client.get("/api/session").json()["csrf"]}
            deadline = time.monotonic() + 0.4 + 0.3 * seed
            while time.monotonic() < deadline or not acknowledged:
                action = "reject" if len(acknowledged) % 2 else "merge"
                answer = client.post(f"/api/identities/1/{action}", json={"other": 3}, headers=headers)
                if answer.status_code != 200:  # merged already: take it apart
                    body = {"sightings": [5]}
                    answer = client.post("/api/identities/1/split", json=body, headers=headers)
                    action = "split"
                if answer.status_code == 200:
                    acknowledged.append(action)
                else:
                    break
        server.send_signal(signal.SIGKILL)
        server.wait(30)
    with SqliteStore(path) as gallery:
        assert gallery.decisions()
        link(gallery)
        of = {s.id: s.identity for s in gallery.find(Filter(ids=(1, 5)))}
        assert (of[1] == of[5]) == (acknowledged[-1] == "merge")
    assert client_of(path).get("/identities").status_code == 200
