"""Logging in and out, and one's own password."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from pose_tracking.core.errors import ConfigError
from pose_tracking.web.forms import local_path
from pose_tracking.web.guard import (
    LOGIN,
    SESSION,
    Forbidden,
    changing,
    check_origin,
    cookie_name,
    session_of,
    set_cookie,
    state_of,
)
from pose_tracking.web.passwords import MIN_LENGTH, verify
from pose_tracking.web.present import duration
from pose_tracking.web.users import Session

from .common import render, see

HOME = "/identities"
public = APIRouter(include_in_schema=False)
router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=4000)]


@public.get("/login")
def login_page(request: Request, next: str = HOME) -> Response:
    """The form; on a server without users a session begins at once."""
    target, state = local_path(next, HOME), state_of(request)
    if session_of(request) is not None:
        return see(target)
    if state.is_open:
        response = see(target)
        set_cookie(request, response, SESSION, state.users.begin_session(None))
        return response
    return _form(request, target)


@public.post("/login")
def log_in(request: Request, name: Text = "", password: Text = "", next: Text = HOME, token: Text = "") -> Response:
    """Begin a session."""
    check_origin(request)
    target, state = local_path(next, HOME), state_of(request)
    known = request.cookies.get(cookie_name(request, LOGIN), "")
    if not known or not secrets.compare_digest(known.encode(), token.encode()):
        return _form(request, target, "The form was out of date. Please log in again.", name, 403)
    address = request.client.host if request.client else ""
    result = state.log_ins.log_in(name, password, address)
    if result.token is None:
        if result.wait:
            message = f"Too many wrong passwords. Try again in {duration(max(10, result.wait))}."
            response = _form(request, target, message, name, 429)
            response.headers["Retry-After"] = str(int(result.wait) + 1)
            return response
        return _form(request, target, "Name or password is wrong.", name, 401)
    state.users.end_session(request.cookies.get(cookie_name(request, SESSION), ""))
    response = see(target)
    set_cookie(request, response, SESSION, result.token)
    response.delete_cookie(cookie_name(request, LOGIN), path="/", secure=request.url.scheme == "https", httponly=True)
    return response


@router.post("/logout")
def log_out(request: Request, session: Annotated[Session, Depends(changing)]) -> Response:
    """End the session."""
    name = cookie_name(request, SESSION)
    state_of(request).users.end_session(request.cookies.get(name, ""))
    response = see("/login")
    response.delete_cookie(name, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.get("/account")
def account(request: Request) -> Response:
    """Who one is, and the form for another password."""
    return render(request, "account.html", error="", min_length=MIN_LENGTH)


@router.post("/account")
def change_password(
    request: Request,
    session: Annotated[Session, Depends(changing)],
    current: Text = "",
    new: Text = "",
    again: Text = "",
) -> Response:
    """Take another password; all sessions of the user end, and this browser gets a new one."""
    state = state_of(request)
    if state.is_open or session.user is None:
        raise Forbidden("This server has no users: `pose-tracking web adduser` adds one.")
    name, error = session.user.name, ""
    address = request.client.host if request.client else ""
    result = state.log_ins.log_in(name, current, address)
    if result.token is None:
        error = "Too many wrong passwords. Try again later." if result.wait else "The current password is wrong."
    elif new != again:
        error = "The new password and its repetition differ."
    elif verify(new, state.users.password_of(name)):
        error = "That is the current password."
    else:
        try:
            state.users.change(name, new)
        except ConfigError as refused:
            error = f"{str(refused)[0].upper()}{str(refused)[1:]}."
    if result.token is not None and error:
        state.users.end_session(result.token)
    if error:
        return render(request, "account.html", 400, error=error, min_length=MIN_LENGTH)
    response = see("/account?told=password")
    set_cookie(request, response, SESSION, state.users.begin_session(name))
    return response


def _form(request: Request, target: str, error: str = "", name: str = "", status: int = 200) -> Response:
    """The form, with a token of the browser's own, so that no other site logs anyone in."""
    token = secrets.token_urlsafe(32)
    response = render(request, "login.html", status, target=target, error=error, name=name[:64], token=token)
    set_cookie(request, response, LOGIN, token)
    return response
