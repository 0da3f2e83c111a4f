"""What the web server is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class WebConfig:
    """What to show, to whom, and where.

    Attributes:
        store: file of the gallery, or the address of a database server.
        users: file of users and sessions; None: beside the store.
        host: address to listen at.
        allowed_hosts: names by which browsers may call this server, besides `host` and those of this machine.
        recordings: folders in which recordings are looked for that have left the place they were ingested from.
        model: bundle that describes pictures; None: that of the newest recording.
        objects: folder of its meshes, for bundles that do not ship them.
        device: of its networks.
    """

    store: str
    users: Path | None = None
    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    recordings: tuple[Path, ...] = ()
    model: str | None = None
    objects: Path | None = None
    device: str = "auto"

    @property
    def users_file(self) -> Path:
        """Where users are kept."""
        return self.users or users_file_of(self.store)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK


def users_file_of(store: str) -> Path:
    """The file of users that belongs to a store: beside it, or in the working directory for a database server."""
    if "://" in store:
        return Path("pose-tracking-users.db")
    path = Path(store).expanduser()
    return path.with_name(path.name + ".users")
