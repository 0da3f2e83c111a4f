"""Who may do what: sessions from cookies, roles, and the token that each change has to carry."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import Request
from starlette.responses import Response

from .state import WebState
from .users import Role, Session, User

SESSION, LOGIN = "pose_session", "pose_login"
LOCAL = User("this machine", Role.EDITOR)  # on a server without users, which only this machine reaches


class NotLoggedIn(Exception):
    """There is no session."""


class Forbidden(Exception):
    """The session may not do that; the message says why."""


def state_of(request: Request) -> WebState:
    """What the application works with."""
    state: WebState = request.app.state.web
    return state


def cookie_name(request: Request, name: str) -> str:
    """A cookie's name; over https with the prefix by which browsers keep other hosts from setting it."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie of this server alone, which scripts cannot read, until the browser is closed."""
    response.set_cookie(
        cookie_name(request, name), value, httponly=True, samesite="lax", secure=request.url.scheme == "https", path="/"
    )


def session_of(request: Request) -> Session | None:
    """The session of the request's cookie, if it has one that holds."""
    state = state_of(request)
    session = state.users.session(request.cookies.get(cookie_name(request, SESSION), ""))
    if session is None:
        return None
    if session.user is not None:
        return session
    # Begun when there were no users: it ends with the first one.
    return Session(LOCAL, session.csrf) if state.is_open else None


def viewer(request: Request) -> Session:
    """Dependency of every route: a session.

    Raises:
        NotLoggedIn: there is none.
    """
    session = session_of(request)
    if session is None:
        raise NotLoggedIn
    request.state.session = session
    return session


async def changing(request: Request) -> Session:
    """Dependency of every route that answers to POST: a session, whose own page has sent this.

    Raises:
        NotLoggedIn: there is no session.
        Forbidden: the request comes from elsewhere.
    """
    session = viewer(request)
    check_origin(request)
    given: Any = request.headers.get("x-csrf-token")
    if given is None and "form" in request.headers.get("content-type", ""):
        given = (await request.form()).get("csrf")
    if not isinstance(given, str) or not secrets.compare_digest(given.encode(), session.csrf.encode()):
        raise Forbidden("This form is out of date: load the page again, then repeat what you did.")
    return session


async def editor(request: Request) -> Session:
    """Dependency of every route that decides something: an editor's session.

    Raises:
        NotLoggedIn: there is no session.
        Forbidden: it is a viewer's, or the request comes from elsewhere.
    """
    session = await changing(request)
    if session.user is None or session.user.role is not Role.EDITOR:
        raise Forbidden("You may look at everything here, but only editors decide who is who.")
    return session


def check_origin(request: Request) -> None:
    """Refuse what another site's page sends.

    Raises:
        Forbidden: it is.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This request comes from another site.")
