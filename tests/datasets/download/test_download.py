from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import os
import stat
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pose_tracking.cli.download import download
from pose_tracking.core.errors import DatasetError, OutputError
from pose_tracking.datasets.download.archives import Archive, find_archives, unpack
from pose_tracking.datasets.download.http import fetch

CONTENT = os.urandom(300_000)


class Handler(http.server.BaseHTTPRequestHandler):
    """A file server with byte ranges that can cut connections, lie and redirect as a model hub does."""

    def __init__(self, hub: Hub, *args) -> None:
        self.hub = hub
        super().__init__(*args)

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        hub, name = self.hub, self.path.rsplit("/", 1)[-1]
        if name not in hub.files:
            self.send_error(404)
            return
        content = hub.files[name]
        digest = hub.digest or hashlib.sha256(content).hexdigest()
        hub.requests.append((self.path, self.headers.get("Range")))
        if hub.failures:
            self.send_error(hub.failures.pop(0))
            return
        if hub.redirects and not self.path.startswith("/storage/"):
            self.send_response(302)
            self.send_header("Location", f"/storage/{name}")
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if (wanted := self.headers.get("Range")) and hub.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        if hub.redirects:
            self.send_header("ETag", f'"{"0" * 64}"')  # the storage's own, of no use
        elif hub.md5:
            self.send_header("Content-MD5", base64.b64encode(hashlib.md5(content).digest()).decode())
            self.send_header("ETag", '"version-1"')
        else:
            self.send_header("ETag", f'"{digest}"')
        self.end_headers()
        self.wfile.write(body[: hub.cuts.pop(0)] if hub.cuts else body)
        self.close_connection = True


class Hub:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"lm_models.zip": CONTENT}
        self.requests: list[tuple[str, str | None]] = []
        self.cuts: list[int] = []
        self.failures: list[int] = []
        self.digest = ""
        self.redirects, self.ranges, self.md5 = True, True, False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def get(hub: Hub, path: Path, attempts: int = 4):
    return fetch(f"{hub.url}/lm_models.zip", path, attempts=attempts, pause=0.0)


@pytest.mark.parametrize(("redirects", "md5"), [(True, False), (False, False), (False, True)])
def test_size_and_digest_come_from_the_server(hub, tmp_path, redirects, md5):
    hub.redirects, hub.md5 = redirects, md5
    remote = get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert remote.size == len(CONTENT)
    assert remote.sha256 == ("" if md5 else hashlib.sha256(CONTENT).hexdigest())
    assert remote.md5 == (hashlib.md5(CONTENT).hexdigest() if md5 else "")
    assert [p.name for p in tmp_path.iterdir()] == ["f.zip"]


def test_a_cut_connection_is_resumed_where_it_stopped(hub, tmp_path):
    hub.redirects, hub.cuts = False, [100_000, 50_000]
    seen = []
    fetch(f"{hub.url}/lm_models.zip", tmp_path / "f.zip", pause=0.0, progress=lambda have, size: seen.append(have))
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert [wanted for _, wanted in hub.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


def test_a_later_call_resumes_and_the_file_is_never_taken_for_whole(hub, tmp_path):
    hub.cuts = [120_000]
    with pytest.raises(DatasetError, match="not downloaded after 1 attempts"):
        get(hub, tmp_path / "f.zip", attempts=1)
    assert not (tmp_path / "f.zip").exists()
    assert (tmp_path / "f.zip.part").stat().st_size == 120_000
    get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    assert hub.requests[-1][1] == "bytes=120000-"


def test_a_changed_file_is_begun_anew(hub, tmp_path):
    hub.cuts = [120_000]
    with pytest.raises(DatasetError):
        get(hub, tmp_path / "f.zip", attempts=1)
    hub.files["lm_models.zip"] = changed = os.urandom(200_000)
    get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == changed


def test_a_file_that_became_shorter_is_begun_anew(hub, tmp_path):
    hub.cuts = [120_000]
    with pytest.raises(DatasetError):
        get(hub, tmp_path / "f.zip", attempts=1)
    hub.files["lm_models.zip"] = changed = os.urandom(1000)
    get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == changed


def test_a_server_without_ranges_is_read_from_the_start(hub, tmp_path):
    hub.ranges, hub.cuts = False, [100_000]
    get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT


def test_a_corrupt_download_is_removed(hub, tmp_path):
    hub.digest = "ab" * 32
    with pytest.raises(DatasetError, match="corrupt: its sha256 is not the abab"):
        get(hub, tmp_path / "f.zip")
    assert list(tmp_path.iterdir()) == []
    hub.digest = ""
    get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT


def test_flipped_bytes_of_a_resumed_part_are_found(hub, tmp_path):
    hub.cuts = [120_000]
    with pytest.raises(DatasetError):
        get(hub, tmp_path / "f.zip", attempts=1)
    part = tmp_path / "f.zip.part"
    part.write_bytes(bytes(part.stat().st_size))
    with pytest.raises(DatasetError, match="corrupt"):
        get(hub, tmp_path / "f.zip")
    assert list(tmp_path.iterdir()) == []


def test_busy_servers_are_asked_again_and_missing_files_are_not(hub, tmp_path):
    hub.failures = [503, 429]
    get(hub, tmp_path / "f.zip")
    assert (tmp_path / "f.zip").read_bytes() == CONTENT
    hub.failures, count = [503] * 9, len(hub.requests)
    with pytest.raises(DatasetError, match=r"after 4 attempts \(HTTP Error 503"):
        get(hub, tmp_path / "g.zip")
    assert len(hub.requests) == count + 4
    hub.failures = []
    with pytest.raises(DatasetError, match="404"):
        fetch(f"{hub.url}/nothing.zip", tmp_path / "h.zip", pause=0.0)


def test_no_server_and_no_address(tmp_path):
    with pytest.raises(DatasetError, match="after 2 attempts"):
        fetch("http://127.0.0.1:9/f.zip", tmp_path / "f.zip", attempts=2, pause=0.0)
    with pytest.raises(DatasetError, match="not a usable address"):
        fetch("somewhere", tmp_path / "f.zip", pause=0.0)


def test_a_full_disk_is_no_network_trouble(hub, tmp_path, monkeypatch):
    real = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name.endswith(".part"):
            raise OSError(28, os.strerror(28))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="No space left"):
        get(hub, tmp_path / "f.zip")
    assert len(hub.requests) == 2  # one, and its redirect
    assert not (tmp_path / "f.zip").exists()


def test_names_of_archives():
    files = [a.file_name for a in find_archives("lm")]
    assert files == ["lm_base.zip", "lm_models.zip", "lm_test_bop19.zip"]
    assert find_archives("tless")[2].file_name == "tless_test_primesense_bop19.zip"
    [models] = find_archives("lmo_models.zip", "http://host/bop/")
    assert models == Archive("lmo", "http://host/bop/lmo/resolve/main/lmo_models.zip")
    [other] = find_archives("https://host/x/ycbv_base.zip?download=true")
    assert (other.dataset, other.file_name) == ("ycbv", "ycbv_base.zip")
    for name in ("nonsense", "../lm_models", "lm_models/..", ""):
        with pytest.raises(DatasetError, match="not a BOP data set"):
            find_archives(name)


def zip_bytes(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, text in members.items():
            zipped.writestr(name.replace("__", "/"), text)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "models/../../evil.txt", "C:/evil.txt", "..\\evil.txt"])
def test_members_stay_inside(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zip_bytes(**{"good.txt": "good", name: "evil"}))
    with pytest.raises(DatasetError, match="outside"):
        unpack(Archive("lm", "http://host/a.zip"), tmp_path / "a.zip", tmp_path / "out")
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "a.zip"]


def test_links_are_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="'link'"):
        unpack(Archive("lm", "http://host/a.zip"), tmp_path / "a.zip", tmp_path / "out")


def test_a_damaged_member_is_found(tmp_path):
    content = bytearray(zip_bytes(one="text of the first member"))
    content[content.index(b"text")] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        unpack(Archive("lm", "http://host/a.zip"), tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "lm" / "one").exists()


def test_the_command_brings_meshes_and_says_where(hub, tmp_path):
    hub.files = {
        "lm_base.zip": zip_bytes(lm__camera="{}"),
        "lm_models.zip": zip_bytes(**{"models__models_info.json": "{}", "models__obj_000006.ply": "ply"}),
        "lm_test_bop19.zip": zip_bytes(test__000006__scene="{}"),
    }
    app = typer.Typer()
    app.command()(download)
    arguments = ["lm_models", "--out", str(tmp_path), "--base-url", hub.url]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"--objects {tmp_path / 'lm' / 'models'}" in result.output
    assert (tmp_path / "lm" / "models" / "obj_000006.ply").read_text() == "ply"
    assert not list(tmp_path.glob("*.zip*"))
    assert hub.requests[0][0] == "/lm/resolve/main/lm_models.zip"
    count = len(hub.requests)
    again = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "unpacked already" in again.output
    assert len(hub.requests) == count
    CliRunner().invoke(app, ["lm", *arguments[1:], "--keep"], catch_exceptions=False)
    assert (tmp_path / "lm" / "camera").is_file()
    assert (tmp_path / "lm" / "test" / "000006" / "scene").is_file()
    assert sorted(p.name for p in tmp_path.glob("*.zip")) == ["lm_base.zip", "lm_test_bop19.zip"]
