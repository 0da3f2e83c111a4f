"""Fetching one large file over HTTP: resumable, verified, never taken for whole before it is."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pose_tracking.core.errors import DatasetError
from pose_tracking.core.files import atomic_path, make_directory, output_errors, write_json

BLOCK = 1 << 20
TIMEOUT = 60.0
_SHA256 = re.compile(r'^(?:W/)?"?([0-9a-fA-F]{64})"?$')
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class RemoteFile:
    """What a server says of a file; "" or None where it does not say.

    Attributes:
        url: address asked for.
        size: length in bytes.
        etag: version of the content.
        sha256: hexadecimal digest (from X-Linked-Etag, or an ETag of 64 digits).
        md5: hexadecimal digest (from Content-MD5).
    """

    url: str
    size: int | None
    etag: str
    sha256: str
    md5: str


class _RecordRedirects(urllib.request.HTTPRedirectHandler):
    """Keeps the headers of redirects: a hub states the digest there, its content servers do not."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        self.headers.update({key.lower(): value for key, value in headers.items()})
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def describe(headers: dict[str, str], redirects: dict[str, str], url: str) -> RemoteFile:
    """`RemoteFile` of lower-case response `headers`, and of those of the `redirects` that led there."""
    linked = redirects.get("x-linked-etag") or headers.get("x-linked-etag", "")
    # Behind a redirect, an ETag of 64 digits may be the storage's own hash of something else.
    digest = _SHA256.match(linked) or (_SHA256.match(headers.get("etag", "")) if not redirects else None)
    size = redirects.get("x-linked-size") or headers.get("x-linked-size")
    if size is None and (match := re.match(r"bytes \S+/(\d+)$", headers.get("content-range", ""))):
        size = match[1]
    if size is None and "content-range" not in headers:
        size = headers.get("content-length")
    md5 = headers.get("content-md5", "")
    return RemoteFile(
        url=url,
        size=int(size) if size is not None else None,
        etag=linked or headers.get("etag", ""),
        sha256=digest[1].lower() if digest else "",
        md5=base64.b64decode(md5).hex() if md5 else "",
    )


def fetch(
    url: str,
    path: Path,
    attempts: int = 5,
    progress: Callable[[int, int | None], None] | None = None,
    pause: float = 2.0,
) -> RemoteFile:
    """Download `url` to `path`.

    Bytes go to ``<path>.part``; a later call goes on where an earlier one stopped if the server still has the same
    version. The file gets its name once its size and digest are what the server states.

    Args:
        url: address.
        path: file to write.
        attempts: tries in all, each going on from the last; the network may fail in between.
        progress: called with the bytes at hand and the size, if known.
        pause: seconds before the second try, doubled with every further one.

    Raises:
        DatasetError: no such file on the server, no answer, or the content does not match size or digest.
        OutputError: the file cannot be written.
    """
    make_directory(path.parent)
    failure: Exception | str = "no attempt"
    for attempt in range(max(1, attempts)):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            remote = _transfer(url, path, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise DatasetError(f"{url}: the server answers {error.code} {error.reason}") from error
            failure = error
            continue
        except _NETWORK_ERRORS as error:
            failure = error
            continue
        except ValueError as error:
            raise DatasetError(f"{url}: not a usable address or answer ({error})") from error
        if remote is None:
            failure = "the connection ended early"
            continue
        _verify(remote, path)
        return remote
    raise DatasetError(f"{url}: not downloaded after {attempts} attempts ({failure}); run it again to go on")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _state(path: Path) -> Path:
    return path.with_name(path.name + ".part.json")


def _transfer(url: str, path: Path, progress: Callable[[int, int | None], None] | None) -> RemoteFile | None:
    """Fetch what is missing of the part file; None where the connection ended before the end."""
    part, known = _part(path), _known(path)
    start = part.stat().st_size if known is not None and part.is_file() else 0
    if known is not None and known.url != url:
        start = 0
    if start and known is not None and known.size is not None and start == known.size:
        return known
    request = urllib.request.Request(url, headers={"User-Agent": "pose-tracking", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    recorder = _RecordRedirects()
    try:
        response = urllib.request.build_opener(recorder).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file has become shorter: begin anew
            _forget(path)
            return None
        raise
    with response:
        headers = {key.lower(): value for key, value in response.headers.items()}
        remote = describe(headers, recorder.headers, url)
        resumes = response.status == 206 and headers.get("content-range", "").startswith(f"bytes {start}-")
        if resumes and known is not None and (remote.etag, remote.size) != (known.etag, known.size):
            _forget(path)  # another version by now: the bytes at hand are worth nothing
            return None
        if not resumes:
            start = 0
            _forget(path)
            write_json(_state(path), asdict(remote))
        with output_errors(path), part.open("ab") as file:
            is_whole = _copy(response, file, start, remote.size, progress)
    return remote if is_whole else None


def _copy(
    response: Any, file: BinaryIO, have: int, size: int | None, progress: Callable[[int, int | None], None] | None
) -> bool:
    """Append the response to `file`; False where the connection ended before the file did."""
    while True:
        ended_early = False
        try:
            block = response.read(BLOCK)
        except http.client.IncompleteRead as error:
            block, ended_early = error.partial, True
        except _NETWORK_ERRORS:  # caught here: some are OSErrors, and would pass for a failure to write
            return False
        file.write(block)
        have += len(block)
        if progress is not None:
            progress(have, size)
        if ended_early or not block:
            return not ended_early and (size is None or have >= size)


def _known(path: Path) -> RemoteFile | None:
    """What the server said when the part file was begun."""
    try:
        return RemoteFile(**json.loads(_state(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _forget(path: Path) -> None:
    with output_errors(path):
        _part(path).unlink(missing_ok=True)
        _state(path).unlink(missing_ok=True)


def _verify(remote: RemoteFile, path: Path) -> None:
    part = _part(path)
    size = part.stat().st_size if part.is_file() else 0
    wrong = ""
    if remote.size is not None and size != remote.size:
        wrong = f"has {size} bytes instead of {remote.size}"
    for name, expected in (("sha256", remote.sha256), ("md5", remote.md5)):
        if expected and not wrong and file_digest(part, name) != expected:
            wrong = f"its {name} is not the {expected} the server states"
    if wrong:
        _forget(path)
        raise DatasetError(f"{remote.url}: the download is corrupt: {wrong}; it was removed, try again")
    with atomic_path(path) as temporary:
        part.replace(temporary)
    _state(path).unlink(missing_ok=True)


def file_digest(path: Path, name: str) -> str:
    """Hexadecimal digest of a file; `name` as `hashlib` knows it."""
    digest = hashlib.new(name)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
