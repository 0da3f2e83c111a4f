"""What the routes share."""

from __future__ import annotations

from collections.abc import Callable

from .access import Gallery, Relinker
from .config import WebConfig
from .login import LogIns
from .looks import Embedder, Looks
from .playback import Playback
from .users import UserStore


class WebState:
    """The parts of a running server.

    Args:
        config: what it was started with.
        load: gives what describes pictures, in place of the model of the gallery.
    """

    def __init__(self, config: WebConfig, load: Callable[[], Embedder] | None = None) -> None:
        self.config = config
        self.users = UserStore(config.users_file)
        self.log_ins = LogIns(self.users)
        self.gallery = Gallery(config.store)
        self.relinker = Relinker(self.gallery)
        self.looks = Looks(self.gallery, config, load)
        self.playback = Playback(config)

    @property
    def is_open(self) -> bool:
        """Whether one gets in without a log-in: there are no users, and only this machine reaches the server."""
        return self.config.is_local and not self.users.has_any
