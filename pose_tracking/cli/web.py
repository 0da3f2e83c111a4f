"""`pose-tracking web`: the gallery as a web page, and who may look at it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import evaluation_options as options

if TYPE_CHECKING:
    from pose_tracking.web.users import Role, UserStore

app = typer.Typer(help="The gallery in a browser, with log-in, and as REST.", invoke_without_command=True)

Store = Annotated[str, typer.Option(help="File of the gallery, or postgresql://USER@HOST/NAME.")]
Users = Annotated[Path | None, typer.Option(help="File of users; default: beside the gallery, STORE.users.")]
Name = Annotated[str, typer.Argument(help="Name of the user.")]
RoleName = Annotated[str, typer.Option(help="viewer (looks) or editor (says who is who, too).")]
Input = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input, not by asking.")]
DEFAULT = "gallery.db"


@app.callback()
def web(
    context: typer.Context,
    store: Store = DEFAULT,
    host: Annotated[
        str, typer.Option(help="Address to listen at; another than 127.0.0.1 (0.0.0.0: all) needs a user.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    users: Users = None,
    recordings: Annotated[
        list[Path] | None,
        typer.Option(help="Folder in which to look for recordings that have moved since they were ingested; several."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM): serve https.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    behind_proxy: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Believe the X-Forwarded headers of the proxy at this address."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name under which browsers may call this server; several.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model that describes pictures; default: as ingested.")] = None,
    objects: options.Objects = None,
    device: options.Device = "auto",
    threads: options.Threads = 0,
) -> None:
    """Show a gallery in the browser until Ctrl-C. Without users, this machine alone gets in, without a log-in."""
    if context.invoked_subcommand is not None:
        return
    import logging

    from pose_tracking.core.errors import ConfigError
    from pose_tracking.core.threads import use_threads

    _require()
    from pose_tracking.web.config import WebConfig
    from pose_tracking.web.server import serve

    for name, path in (("--certificate", certificate), ("--key", key)):
        if path is not None and not path.is_file():
            raise ConfigError(f"{name} {path}: no such file")
    if (certificate is None) != (key is None):
        raise ConfigError("https needs both --certificate and --key")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    use_threads(threads)
    config = WebConfig(store, users, host, tuple(allow_host or ()), tuple(recordings or ()), model, objects, device)
    serve(config, port, certificate, key, behind_proxy)


@app.command("adduser")
def add_user(
    name: Name, role: RoleName = "viewer", store: Store = DEFAULT, users: Users = None, from_stdin: Input = False
) -> None:
    """Add someone who may log in."""
    with _opened(store, users) as opened:
        opened.add(name, _password(from_stdin), _role(role))
    typer.echo(f"{name} may log in as {role}")


@app.command("passwd")
def set_password(name: Name, store: Store = DEFAULT, users: Users = None, from_stdin: Input = False) -> None:
    """Give a user another password; all sessions of the user end."""
    with _opened(store, users) as opened:
        opened.change(name, password=_password(from_stdin))
    typer.echo(f"{name} has a new password")


@app.command("role")
def set_role(
    name: Name,
    role: Annotated[str, typer.Argument(help="viewer or editor.")],
    store: Store = DEFAULT,
    users: Users = None,
) -> None:
    """Give a user another role; all sessions of the user end."""
    with _opened(store, users) as opened:
        opened.change(name, role=_role(role))
    typer.echo(f"{name} is {role} now")


@app.command("removeuser")
def remove_user(name: Name, store: Store = DEFAULT, users: Users = None) -> None:
    """Remove a user; all sessions of the user end."""
    with _opened(store, users) as opened:
        opened.remove(name)
    typer.echo(f"{name} is removed")


@app.command("users")
def list_users(store: Store = DEFAULT, users: Users = None) -> None:
    """List who may log in."""
    with _opened(store, users) as opened:
        found = opened.all()
    for user in found:
        typer.echo(f"{user.name}: {user.role.value}")
    if not found:
        typer.echo("no users: only this machine gets in, without a log-in")


def _opened(store: str, users: Path | None) -> closing[UserStore]:
    _require()
    from pose_tracking.web.config import users_file_of
    from pose_tracking.web.users import UserStore

    return closing(UserStore(users or users_file_of(store)))


def _role(role: str) -> Role:
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.web.users import Role

    try:
        return Role(role)
    except ValueError as error:
        raise ConfigError(f"role {role!r}: there are viewer and editor") from error


def _password(from_stdin: bool) -> str:
    """Never an argument: others on this machine see those."""
    if from_stdin:
        import sys

        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _require() -> None:
    from importlib.util import find_spec

    from pose_tracking.core.errors import ConfigError

    missing = [name for name in ("fastapi", "uvicorn", "argon2", "multipart") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the web page needs {', '.join(missing)}: pip install 'pose_tracking[web]'")
