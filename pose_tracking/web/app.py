"""The web application: routes, who may use them, and what an error looks like."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from pose_tracking import __version__
from pose_tracking.core.errors import ConfigError, DatasetError, FrameError, PoseTrackingError, StoreError

from .config import LOOPBACK, WebConfig
from .guard import Forbidden, NotLoggedIn, session_of, viewer
from .headers import SecurityHeaders
from .limits import BodyLimit
from .looks import Embedder
from .pages import account, api, cameras, identities, identity, reference, review, search, sightings
from .pages.common import FOLDER, render
from .state import WebState

LOG = logging.getLogger(__name__)
_STATUS: dict[type[PoseTrackingError], int] = {ConfigError: 400, FrameError: 400, DatasetError: 404, StoreError: 503}
_TITLES = {
    400: "That cannot be read", 403: "Not allowed", 404: "Nothing here", 405: "Nothing here", 413: "Too large",
    503: "The gallery cannot be read", 500: "Something went wrong",
}  # fmt: skip


def create_app(config: WebConfig, load: Callable[[], Embedder] | None = None) -> FastAPI:
    """The application.

    Args:
        config: what to show, to whom.
        load: gives what describes pictures, in place of the model of the gallery.

    Raises:
        StoreError: the file of users cannot be opened.
        ConfigError: it would be open to anyone: other machines can reach it, and it has no users.
    """
    state = WebState(config, load)
    if not config.is_local and not state.users.has_any:
        state.users.close()
        raise ConfigError(
            f"--host {config.host}: anyone could look at this gallery: add a user first "
            f"(`pose-tracking web adduser NAME --role editor --store {config.store}`), or leave --host away"
        )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(state.relinker.ask_if_needed)
        yield
        state.users.close()

    app = FastAPI(
        title="pose_tracking gallery", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=None, description="What several cameras have seen: identities, sightings, cameras.",
    )  # fmt: skip
    app.state.web = state
    for public in (account.public, api.public):
        app.include_router(public)
    for module in (identities, identity, review, search, sightings, cameras, account, api, reference):
        app.include_router(module.router, dependencies=[Depends(viewer)])
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    hosts = [*LOOPBACK, "[::1]", *config.allowed_hosts]
    if config.is_local or config.allowed_hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    _add_errors(app)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(NotLoggedIn)
    def not_logged_in(request: Request, _: NotLoggedIn) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": "log in first: POST /api/session"}, 401)
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = here if request.method == "GET" else "/identities"
        return Response(status_code=303, headers={"Location": f"/login?next={quote(back, safe='')}"})

    @app.exception_handler(Forbidden)
    def forbidden(request: Request, error: Forbidden) -> Response:
        return _told(request, 403, str(error))

    @app.exception_handler(PoseTrackingError)
    def refused(request: Request, error: PoseTrackingError) -> Response:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
        if status == 503:
            LOG.warning("%s", error)
        return _told(request, status, str(error))

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code in (404, 405) and message in ("Not Found", "Method Not Allowed"):
            message = "There is no such page."
        response = _told(request, error.status_code, message)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    def not_valid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["loc"][0] == "path":
            return _told(request, 404, "There is no such page.")
        return _told(request, 400, f"{first['loc'][-1]}: {first['msg'][0].lower()}{first['msg'][1:]}")

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _told(request, 500, "This is a fault of the program. The log of the server says more.")


def _told(request: Request, status: int, message: str) -> Response:
    """An error, as a page or as JSON; a stranger learns nothing of the gallery from it."""
    message = f"{message[0].upper()}{message[1:]}"[:600]
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message}, status)
    try:
        request.state.session = session_of(request)
    except StoreError as error:
        message, request.state.session = str(error), None
    return render(request, "error.html", status, active="", title=_TITLES.get(status, "Not possible"), message=message)
