"""`pose-tracking web`: its users, and what it refuses to serve."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("fastapi")
pytest.importorskip("argon2")
from web_gallery import PASSWORD, make_gallery

from pose_tracking.cli.main import build
from pose_tracking.core.errors import ConfigError


def run(*arguments: str | Path, given: str = "") -> str:
    result = CliRunner().invoke(build("web"), ["web", *map(str, arguments)], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_gallery(tmp_path, with_live=False)


def test_users_are_added_listed_changed_and_removed(store: Path) -> None:
    where = ("--store", store)
    assert "no users: only this machine gets in" in run("users", *where)
    added = run("adduser", "erin", "--role", "editor", *where, "--password-stdin", given=PASSWORD + "\n")
    assert added == "erin may log in as editor\n"
    run("adduser", "vera", *where, given=f"{PASSWORD}\n{PASSWORD}\n")  # asked for, twice
    assert run("users", *where) == "erin: editor\nvera: viewer\n"
    run("role", "vera", "editor", *where)
    run("passwd", "vera", *where, "--password-stdin", given="another four words\n")
    run("removeuser", "erin", *where)
    assert run("users", *where) == "vera: editor\n"
    assert store.with_name("gallery.db.users").exists()


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [(("adduser", "erin"), "short", "12 or more"), (("adduser", "e r"), PASSWORD, "user name"),
     (("adduser", "erin", "--role", "admin"), PASSWORD, "viewer and editor"),
     (("passwd", "nobody"), PASSWORD, "no user"),
     (("removeuser", "nobody"), None, "no user"), (("role", "nobody", "viewer"), None, "no user")],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(
    store: Path, arguments: tuple[str, ...], given: str | None, message: str
) -> None:
    more = [] if given is None else ["--password-stdin"]
    with pytest.raises(ConfigError, match=message):
        run(*arguments, "--store", store, *more, given=f"{given}\n")


def test_a_user_is_there_once(store: Path) -> None:
    run("adduser", "erin", "--store", store, "--password-stdin", given=PASSWORD + "\n")
    with pytest.raises(ConfigError, match="already"):
        run("adduser", "ERIN", "--store", store, "--password-stdin", given=PASSWORD + "\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", "0.0.0.0"), "add a user first"),
        (("--certificate", "nowhere.pem", "--key", "nowhere.pem"), "no such file"),
    ],
)
def test_what_is_not_served(store: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run("--store", store, *arguments)


def test_a_certificate_without_its_key_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("x")
    with pytest.raises(ConfigError, match="both --certificate and --key"):
        run("--store", store, "--certificate", tmp_path / "c.pem")


def test_https_is_served(store: Path, tmp_path: Path) -> None:
    import re
    import urllib.request

    run("adduser", "erin", "--store", store, "--password-stdin", given=PASSWORD + "\n")
    key, certificate = tmp_path / "k.pem", tmp_path / "c.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    command = [sys.executable, "-m", "pose_tracking.cli", "web", "--store", store, "--port", "0", "--certificate",
               certificate, "--key", key]  # fmt: skip
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True, cwd=root) as server:
        try:
            assert server.stderr is not None
            lines = iter(server.stderr.readline, "")
            address = next(found[1] for line in lines if (found := re.search(r"running on (https://\S+)", line)))
            context = ssl.create_default_context(cafile=str(certificate))
            with urllib.request.urlopen(f"{address}/login", context=context, timeout=60) as answer:
                assert answer.status == 200
                assert "max-age" in answer.headers["strict-transport-security"]
        finally:
            server.kill()
