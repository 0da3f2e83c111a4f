"""A gallery on a server: what is wrong with server, user, version or network is one line without a password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from gallery_samples import filled, looks, progress, sighting

from pose_tracking.core.errors import ConfigError, StoreError
from pose_tracking.gallery import postgres_database, postgres_schema
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.store import Recording
from pose_tracking.gallery.stores import open_reader, open_store

psycopg = pytest.importorskip("psycopg")

import postgres_server  # noqa: E402
from postgres_server import PASSWORD, USER, PostgresServer  # noqa: E402


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    programs = postgres_server.with_vectors()
    if programs is None:
        pytest.skip("no PostgreSQL with pgvector here: see CONTRIBUTING.md")
    server = PostgresServer(programs)
    yield server
    server.remove()


def one_line(url: str, **options: bool) -> str:
    """The message of a store that cannot be opened: one line, without the password."""
    with pytest.raises((StoreError, ConfigError)) as caught:
        open_store(url, make=True, **options)
    message = str(caught.value)
    assert "\n" not in message
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "hunter2"):
        assert secret not in message
    return message


def test_who_may_not_come_in(postgres: PostgresServer) -> None:
    assert "password authentication failed" in one_line(postgres.url("postgres", password="hunter2"))
    assert "give the right one in ~/.pgpass or PGPASSWORD" in one_line(postgres.url("postgres", password="hunter2"))
    assert "PGPASSWORD" in one_line(postgres.url("postgres", password=None))
    message = one_line(postgres.url("nothing_here"))
    assert message.startswith(f"postgresql://{USER}@127.0.0.1:{postgres.port}/nothing_here: cannot connect")
    assert "createdb" in message
    assert "is the server running there" in one_line(f"postgresql://{USER}:hunter2@127.0.0.1:1/x")


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2%ZZ@h/d", "postgresql://u:hunter2@h", "postgresql://u:hunter2@h/d?nonsense=1"]
)
def test_a_url_that_cannot_be_read(url: str) -> None:
    assert "expected postgresql://USER@HOST:PORT/NAME" in one_line(url)


def test_a_server_without_pgvector() -> None:
    programs = postgres_server.without_vectors()
    if programs is None:
        pytest.skip("every PostgreSQL here has pgvector")
    server = PostgresServer(programs)
    try:
        url = server.new_database()
        assert "the server lacks pgvector: install it there (Debian: postgresql-NN-pgvector" in one_line(url)
        with pytest.raises(StoreError, match="holds no gallery"):
            open_reader(url)
    finally:
        server.remove()


def test_a_user_without_the_right_to_enable_pgvector(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    postgres.execute("CREATE USER plain PASSWORD 'hunter2'")
    postgres.execute(f"GRANT CREATE ON DATABASE {name} TO plain")
    plain = postgres.url(name, "plain", "hunter2")
    assert "CREATE EXTENSION vector" in one_line(plain)
    postgres.execute("CREATE SCHEMA elsewhere; CREATE EXTENSION vector SCHEMA elsewhere", url)
    postgres.execute("GRANT USAGE ON SCHEMA elsewhere TO plain", url)
    store, (number,) = filled(plain, [sighting()])
    assert store.nearest(looks(0)[None], Filter())[0].sighting.id == number
    # Another user sees that there is one, and may not read it.
    postgres.execute("CREATE USER other PASSWORD 'hunter2'")
    assert "permission denied" in one_line(postgres.url(name, "other", "hunter2"))


def test_another_version(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    filled(url, [sighting()])[0].close()
    postgres.execute("UPDATE pose_tracking_gallery.meta SET value = '7' WHERE key = 'version'", url)
    assert "a gallery of version 7, this program reads version 1" in one_line(url)


def test_a_table_is_missing(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    filled(url, [sighting()])[0].close()
    postgres.execute("DROP TABLE pose_tracking_gallery.crops CASCADE", url)
    assert "damaged" in one_line(url)


def test_other_tables_of_the_data_base_are_left_alone(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    postgres.execute("CREATE TABLE sightings (bird TEXT); INSERT INTO sightings VALUES ('wren')", url)
    store, (number,) = filled(url, [sighting()])
    assert [s.id for s in store.find(Filter())] == [number]
    assert postgres.execute("SELECT * FROM sightings", url) == [("wren",)]


def test_the_server_goes_away_and_comes_back(own: PostgresServer) -> None:
    """A store that is open says so in one line, and works again when the server does: nothing acknowledged is lost."""
    store, (first,) = filled(own.new_database(), [sighting("left", 1)])
    own.stop()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"the server went away|cannot connect") as caught:
            store.add(1, [sighting("left", 2)], progress(0, 10, 200))
        assert "\n" not in str(caught.value)
        assert PASSWORD not in str(caught.value)
    own.start()
    (second,) = store.add(1, [sighting("left", 2)], progress(0, 10, 200))
    assert {s.id for s in store.find(Filter())} == {first, second}


def test_a_server_that_was_restarted_meanwhile(own: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two frames of a live camera, or while workers were busy for hours: no one is told."""
    monkeypatch.setattr(postgres_database, "IDLE_S", 0.0)
    store, (first,) = filled(own.new_database(), [sighting("left", 1)])
    own.stop()
    own.start()
    (second,) = store.add(1, [sighting("left", 2)], progress(0, 10, 200))
    own.stop()
    own.start()
    assert {s.id for s in store.find(Filter())} == {first, second}


def test_a_connection_that_is_cut_within_a_transaction(postgres: PostgresServer) -> None:
    """The rest of it is not written on a new connection."""
    url = postgres.new_database()
    store, (number,) = filled(url, [sighting("left", 1)])

    def half() -> None:
        with store._database.transaction():
            store._rows("UPDATE sightings SET class_name = 'half'")
            ((backend,),) = store._rows("SELECT pg_backend_pid()")
            postgres.execute(f"SELECT pg_terminate_backend({backend})", url)
            for name in ("one", "two"):
                with pytest.raises(StoreError, match="went away"):
                    store._rows("UPDATE sightings SET class_name = ?", (name,))
            raise StoreError("given up")

    with pytest.raises(StoreError, match=r"given up|went away"):
        half()
    assert [(s.id, s.class_name) for s in store.find(Filter())] == [(number, "mug")]


def test_another_writer_that_does_not_end(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_schema, "BUSY_S", 1)
    url = postgres.new_database()
    store, _ = filled(url, [sighting("left", 1)])
    with open_store(url) as other, other._database.transaction(), pytest.raises(StoreError, match="writing for 1 s"):
        store.add(1, [sighting("left", 2)], progress(0, 10, 200))


def test_the_size_is_that_of_the_tables(postgres: PostgresServer) -> None:
    things = [sighting("left", k, k, k + 0.5) for k in range(2000)]
    for each in things:
        each.crops = [replace(crop, image=os.urandom(6000)) for crop in each.crops]
    url = postgres.new_database()
    store, _ = filled(url, things)
    ((measured,),) = postgres.execute(
        "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
        "WHERE relnamespace = 'pose_tracking_gallery'::regnamespace AND relkind = 'r'", url,
    )  # fmt: skip
    assert isinstance(measured, int)
    assert 0.75 < store.size / measured < 1.33


def test_a_client_that_is_stopped_does_not_hold_the_lock_for_ever(postgres: PostgresServer) -> None:
    """Killed within a transaction: the server takes the half of it back, and the next writer gets its turn."""
    url = postgres.new_database()
    store, (number,) = filled(url, [sighting("left", 1)])
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open_store(url) as own, own._database.transaction():
                own._rows("UPDATE sightings SET class_name = 'half'")
                os.write(write_end, b"x")
                signal.pause()
        finally:
            os._exit(1)
    os.read(read_end, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert store.begin(Recording("right", "r", "r", {})).id > 0
    assert [(s.id, s.class_name) for s in store.find(Filter())] == [(number, "mug")]


def test_search_is_exact_with_and_without_conditions(postgres: PostgresServer) -> None:
    rng = np.random.default_rng(3)
    store, numbers = filled(
        postgres.new_database(),
        [sighting(f"c{k % 2}", k, k, k + 1, thing=int(rng.integers(16)), noise=0.4) for k in range(300)],
    )
    vectors = store.embeddings(numbers)
    query = looks(5, 0.3, 7)
    order = sorted(numbers, key=lambda n: min(1 - vectors[n] @ query))
    assert [m.sighting.id for m in store.nearest(query[None], Filter(), 50)] == order[:50]


def test_a_full_disk_is_one_line_and_loses_nothing(own: PostgresServer) -> None:
    """The tables lie on a small file system."""
    small = own.folder / "small"
    small.mkdir()
    options = "size=18m,uid=nobody,gid=nogroup"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", small], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        place = small / "space"
        place.mkdir()
        shutil.chown(place, "nobody", "nogroup")
        own.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        own.execute("CREATE DATABASE tight TABLESPACE small")
        store, (number,) = filled(own.url("tight"), [sighting("left", 1)])
        large = sighting("left", 2, 4, 5)
        large.crops = [replace(crop, image=os.urandom(9_000_000)) for crop in large.crops]
        with pytest.raises(StoreError, match=r"the disk of the server is full: make room"):
            store.add(1, [large], progress(0, 5, 200))
        assert [s.id for s in store.find(Filter())] == [number]
        store.close()
        own.execute("DROP DATABASE tight")
        own.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", small], check=True)
