"""The web server killed at random moments while decisions come in: what was acknowledged is there, the store opens."""

from __future__ import annotations

import logging
import multiprocessing
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the web extra is not installed")
pytest.importorskip("sqlite_vec", reason="the gallery extra is not installed")

import apsw
import httpx
from web_gallery import make_gallery

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.web.config import WebConfig
from pose_tracking.web.server import serve

# Sightings of one class in two recordings, on which people decide: of the red ball and of the blue one.
PAIRS = ((1, 5), (2, 7))
# Each is forked from a process that has all modules: starting one takes no longer than a port takes to open.
CONTEXT = multiprocessing.get_context("forkserver")


def run(store: Path, port: int) -> None:
    """The server, as the command runs it."""
    logging.disable(logging.CRITICAL)
    serve(WebConfig(str(store)), port)


@contextmanager
def serving(store: Path) -> Iterator[tuple[str, BaseProcess]]:
    """A server in a process of its own: its address, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = CONTEXT.Process(target=run, args=(store, port), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 240
    while True:
        with suppress(httpx.TransportError):
            httpx.get(f"{address}/login", timeout=60)
            break
        assert server.is_alive(), "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)
    try:
        yield address, server
    finally:
        server.kill()
        server.join(60)


class Decider(threading.Thread):
    """Says of one pair after the other that it is one thing, or two, until nobody answers.

    Attributes:
        same: what was acknowledged of each pair last.
        asked: the pair, and what is said of it, that no answer has come to yet.
        count: of what was acknowledged, by kind.
    """

    def __init__(self, address: str, same: dict[int, bool], seed: int) -> None:
        super().__init__(daemon=True)
        self.same, self.asked = same, (-1, False)
        self.count = dict.fromkeys(("merge", "reject", "split"), 0)
        self.refused: list[str] = []
        self._address, self._rng = address, random.Random(seed)

    def run(self) -> None:
        """See the class."""
        with suppress(httpx.TransportError), httpx.Client(base_url=self._address, timeout=60) as client:
            client.get("/login", follow_redirects=True)
            headers = {"X-CSRF-Token": client.get("/api/session").json()["csrf"]}
            while True:
                self._decide(client, headers, self._rng.randrange(len(PAIRS)))

    def _decide(self, client: httpx.Client, headers: dict[str, str], pair: int) -> None:
        first, other = (client.get(f"/api/sightings/{n}").json()["identity"] for n in PAIRS[pair])
        if first != other:
            kind = self._rng.choice(("merge", "reject"))
            body = {"other": other}
        else:
            kind, body = "split", {"sightings": [PAIRS[pair][1]]}
        self.asked = pair, kind == "merge"
        answer = client.post(f"/api/identities/{first}/{kind}", json=body, headers=headers)
        if answer.status_code == 200:
            self.same[pair] = kind == "merge"
            self.count[kind] += 1
        else:  # the numbers have changed meanwhile: linking follows a decision after its answer
            self.refused.append(answer.text)
        self.asked = -1, False


def check(store: Path, decider: Decider) -> None:
    """What was acknowledged holds, but for what was under way; the file is sound."""
    with SqliteStore(store) as gallery:
        link(gallery)
        identity = {s.id: s.identity for s in gallery.find(Filter())}
    assert len(identity) == 7
    for pair, is_same in decider.same.items():
        a, b = PAIRS[pair]
        allowed = {is_same} | ({decider.asked[1]} if decider.asked[0] == pair else set())
        assert (identity[a] == identity[b]) in allowed, (pair, decider.same, decider.asked)
    database = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_no_decision_on_a_gallery_that_was_acknowledged_is_lost_by_kill_9(settings, tmp_path):
    report, rng = settings.report("web_kills"), random.Random(settings.seed)
    CONTEXT.set_forkserver_preload(["pose_tracking.web.server", "test_web_kills"])
    store = make_gallery(tmp_path, with_live=False)
    same: dict[int, bool] = {}
    total, in_flight, refused = dict.fromkeys(("merge", "reject", "split"), 0), 0, 0
    try:
        for number in range(settings.restarts):
            with serving(store) as (address, server):
                decider = Decider(address, same, rng.randrange(2**31))
                decider.start()
                before = time.monotonic() + 60
                while not sum(decider.count.values()) and time.monotonic() < before:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, 0.6))
                server.kill()
                server.join(60)
                decider.join(90)
            assert not decider.is_alive()
            assert sum(decider.count.values()), decider.refused
            check(store, decider)
            in_flight += decider.asked[0] >= 0
            refused += len(decider.refused)
            # What was under way is decided either way now.
            with SqliteStore(store) as gallery:
                identity = {s.id: s.identity for s in gallery.find(Filter())}
            same = {pair: identity[PAIRS[pair][0]] == identity[PAIRS[pair][1]] for pair in range(len(PAIRS))}
            for kind, count in decider.count.items():
                total[kind] += count
            report.write(None, kills=number + 1, acknowledged=total, under_way=in_flight, refused=refused)
    finally:
        report.write("see the test", acknowledged=total, under_way=in_flight, refused=refused)
    assert min(total.values()) > 0 or settings.restarts < 5
