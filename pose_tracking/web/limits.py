"""No request may be larger than its purpose needs: counted while it arrives, whatever its header says."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pose_tracking.gallery.pictures import MAX_BYTES

PICTURE_BYTES = MAX_BYTES + 100_000  # the fields beside the picture
OTHER_BYTES = 100_000
PICTURE_PATHS = ("/search/picture", "/api/search/picture")


class TooLarge(Exception):
    """A body that is longer than it may be."""


class BodyLimit:
    """ASGI middleware that answers 413 where a body is too long, without reading the rest of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = PICTURE_BYTES if scope["path"] in PICTURE_PATHS else OTHER_BYTES
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > most:
            await _refuse(send, most)
            return
        count, is_refused = 0, False

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                raise TooLarge
            return message

        async def answered(message: Message) -> None:
            # Whatever the application makes of a body that broke off: the reason is its length.
            nonlocal is_refused
            if count <= most:
                await send(message)
            elif not is_refused:
                is_refused = True
                await _refuse(send, most)

        try:
            await self._app(scope, counted, answered)
        except TooLarge:
            if not is_refused:
                await _refuse(send, most)


async def _refuse(send: Send, most: int) -> None:
    text = f"The request is larger than {most / 1e6:.1f} MB: send a smaller picture.".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"),
               (b"content-length", str(len(text)).encode()), (b"x-content-type-options", b"nosniff")]  # fmt: skip
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": text})
