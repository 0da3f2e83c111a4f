"""How requests come to the gallery: a connection of their own each, and linking that nobody has to wait for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking.config import LinkConfig
from pose_tracking.gallery.linking.linker import LinkReport, link
from pose_tracking.gallery.store import SAME, GalleryReader, GalleryStore
from pose_tracking.gallery.stores import open_reader, open_store

LOG = logging.getLogger(__name__)
AT_MOST = 4000  # decisions that are looked through after a start


class Gallery:
    """Opens the store anew for each request, so that one that is replaced, restored or restarted is met as it is.

    Args:
        store: file of the gallery, or ``postgresql://USER@HOST/NAME``.
    """

    def __init__(self, store: str) -> None:
        self.store = store

    @contextmanager
    def reader(self) -> Iterator[GalleryReader]:
        """The gallery, to read.

        Raises:
            StoreError: it is missing, damaged, of another version or being made.
        """
        with open_reader(self.store) as opened:
            yield opened

    @contextmanager
    def writer(self) -> Iterator[GalleryStore]:
        """The gallery, to write; one that is not there is not made."""
        with open_store(self.store) as opened:
            yield opened


class Relinker:
    """Links a gallery anew behind the requests: what people decide is on the disk at once, its consequences follow.

    Args:
        gallery: which.
        relink: how.

    Attributes:
        error: why the last linking failed; "" where it did not.
    """

    def __init__(self, gallery: Gallery, relink: Callable[[GalleryStore], LinkReport] = link) -> None:
        self._gallery, self._relink = gallery, relink
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._thread: threading.Thread | None = None
        self.error = ""

    @property
    def is_busy(self) -> bool:
        """Whether something that was decided is not linked yet."""
        return self._done < self._asked

    def ask(self, store: GalleryStore | None = None, config: LinkConfig | None = None) -> LinkReport:
        """Have the gallery linked soon; in the form in which `curation` calls it."""
        with self._changed:
            self._asked += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="relinker", daemon=True)
                self._thread.start()
        return LinkReport()

    def wait(self, seconds: float) -> bool:
        """Wait until all is linked, at most so long; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_busy, seconds)

    def ask_if_needed(self) -> None:
        """Have the gallery linked where a server was killed between a decision and its consequences."""
        try:
            with self._gallery.reader() as store:
                decisions = store.decisions()[-AT_MOST:]
                ids = tuple({number for d in decisions for number in (d.a, d.b)})
                identity = {s.id: s.identity for s in store.find(Filter(ids=ids))} if ids else {}
        except PoseTrackingError:
            return  # the pages say why
        for d in decisions:
            if d.a in identity and d.b in identity and (identity[d.a] == identity[d.b]) != (d.kind == SAME):
                self.ask()
                return

    def _run(self) -> None:
        while True:
            with self._changed:
                asked = self._asked
                if self._done == asked:
                    self._thread = None
                    return
            error, began = "", time.monotonic()
            try:
                with self._gallery.writer() as store:
                    self._relink(store)
            except PoseTrackingError as failed:
                error = str(failed)
            except Exception:
                LOG.exception("linking failed")
                error = "linking failed; the log of the server says why"
            LOG.info("linked in %.1f s", time.monotonic() - began)
            with self._changed:
                # What was decided while it ran is linked next.
                self._done, self.error = asked, error
                self._changed.notify_all()
