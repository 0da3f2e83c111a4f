"""The page of a gallery, opened in a real browser: its pages looked at, one thing re-identified, screenshots taken."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 300.0
PAGES = (("identities", "/identities"), ("review", "/review"))
LIVE_PAGES = (("live", "/live"), ("cameras", "/cameras"))  # looked at while the cameras speak
LIVE_SECONDS = 120.0  # waited for the first camera to be live


def tour(store: Path, out: Path) -> list[str]:
    """Look at the pages of a store; screenshots go to `out`.

    Returns:
        What was seen, or why nothing was, one line each.
    """
    browser, missing = _browser()
    if missing:
        return [f"the page was not opened: missing {', '.join(missing)}"]
    with _serving(store, out) as address:
        if address is None:
            return [f"the page was not opened: the web server did not start; see {out / 'web.log'}"]
        return _walk(address, browser, store, out)


class LiveWatch(threading.Thread):
    """Looks at the cameras in the browser while they speak; a context manager.

    Args:
        store: that the gallery node writes.
        out: for the screenshots.

    Attributes:
        notes: what was seen, or why nothing was, one line each.
        is_open: set once the page is open, or will not be.
    """

    def __init__(self, store: Path, out: Path) -> None:
        super().__init__(name="live page", daemon=True)
        self.notes: list[str] = []
        self.is_open = threading.Event()
        self._store, self._out = store, out
        self._over = threading.Event()

    def __enter__(self) -> LiveWatch:
        self.start()
        self.is_open.wait(START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(LIVE_SECONDS)

    def run(self) -> None:
        """See the class."""
        browser, missing = _browser()
        try:
            if missing:
                return  # the tour after it says so
            with _serving(self._store, self._out) as address:
                if address is None:
                    self.notes.append(f"the live page was not opened: see {self._out / 'web.log'}")
                else:
                    self._look(address, browser)
        finally:
            self.is_open.set()

    def _look(self, address: str, browser: str) -> None:
        from playwright.sync_api import Error

        try:
            with _page(browser) as page:
                page.goto(address + "/live")
                self.is_open.set()
                asked = time.monotonic()
                stage = page.locator("[data-live]")
                while int(stage.get_attribute("data-objects") or 0) == 0 and not self._over.is_set():
                    if time.monotonic() - asked > LIVE_SECONDS:
                        break
                    page.wait_for_timeout(200)
                page.wait_for_timeout(1500)  # for a piece of the trails
                status = page.locator(".status").text_content()
                for name, path in LIVE_PAGES:
                    if name != "live":
                        page.goto(address + path)
                        page.wait_for_timeout(500)
                    page.screenshot(path=self._out / f"page-{name}.png")
                self.notes.append(f"live page while the cameras spoke: {status}")
        except Error as error:
            self.notes.append(f"the browser stopped at the live page: {str(error).splitlines()[0]}")


def _browser() -> tuple[str, list[str]]:
    """Path of the browser, and what is missing to open the page."""
    missing = [name for name in ("pose_tracking.web", "playwright") if not _is_there(name)]
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), "")
    if not browser:
        missing.append("Chromium (apt install chromium)")
    return browser, missing


@contextmanager
def _serving(store: Path, out: Path) -> Iterator[str | None]:
    """Address of a web server of the store; None where it did not start."""
    port = _free_port()
    command = [sys.executable, "-m", "pose_tracking.cli", "web", "--store", str(store), "--port", str(port)]
    with (out / "web.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=_environment())
    try:
        yield f"http://127.0.0.1:{port}" if _answers(port, server) else None
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _walk(address: str, browser: str, store: Path, out: Path) -> list[str]:
    from playwright.sync_api import Error

    notes = []
    try:
        with _page(browser) as page:
            for name, path in PAGES:
                answer = page.goto(address + path)
                if answer is None or not answer.ok:
                    notes.append(f"page {path}: {'no answer' if answer is None else answer.status}")
                    continue
                page.wait_for_timeout(500)
                page.screenshot(path=out / f"page-{name}.png")
            notes += _reidentify(page, address, store, out)
    except Error as error:
        notes.append(f"the browser stopped: {str(error).splitlines()[0]}")
    return notes


@contextmanager
def _page(browser: str) -> Iterator[Any]:
    """A page of the browser."""
    from playwright.sync_api import sync_playwright

    # A sandbox of its own a browser cannot have where it runs as root, as in a container.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=arguments)
        page = opened.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        opened.close()


def _reidentify(page: Any, address: str, store: Path, out: Path) -> list[str]:
    """Press Re-identify on something that the cameras of two tables saw, and accept the best match of the other."""
    with SqliteReader(store) as reader:
        proposals = reader.proposals()
        concerned = {i for p in proposals for i in (p.a, p.b)}
        by_id = {s.id: s.identity for s in reader.find(Filter(ids=tuple(concerned)))} if concerned else {}
        identities = reader.identities(Filter())
    if not identities:
        return ["the gallery is empty: nothing to re-identify"]
    number = by_id[proposals[0].a] if proposals else identities[0].id
    page.goto(f"{address}/identities/{number}")
    page.click("#reidentify-button")
    page.wait_for_selector("#reidentify")
    found = page.locator("#reidentify .ranked > li")
    notes = [f"Re-identify on identity {number}: {found.count()} ranked matches"]
    page.screenshot(path=out / "page-reidentify.png")
    accept = found.first.locator("form button").first if found.count() else None
    if accept is None or not accept.count():
        return notes
    accept.click()
    page.wait_for_load_state()
    page.screenshot(path=out / "page-accepted.png")
    with SqliteReader(store) as reader:
        notes.append(f"the best match accepted: {len(reader.decisions())} decisions kept in the gallery")
    return notes


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _answers(port: int, server: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10):
                return True
        except OSError:
            time.sleep(0.5)
    return False
