"""Resumable HTTPS download that checks the announced size and refuses any other scheme."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from ._errors import ZooError
from ._progress import Progress, silent

CHUNK = 1 << 20
TIMEOUT = 30.0
PAUSE = 0.5
"""Seconds before the second attempt, doubled before each further attempt."""
ATTEMPTS = 4
"""Number of attempts in a row that may fail without new bytes."""
MAX_ATTEMPTS = 100
RETRIED = {408, 416, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One file to download.

    Attributes:
        name: The name of the file, for error messages.
        url: The https URL.
        bytes: The expected size, None if unknown.
        resumable: Whether to resume even if the server sends no ETag or date. Set it if the hash is known.
        context: The accepted certificates. Defaults to the system's.
    """

    name: str
    url: str
    bytes: int | None = None
    resumable: bool = False
    context: ssl.SSLContext | None = None


def fetch(request: Request, target: Path, progress: Progress = silent) -> None:
    """Download a file to `target`, or complete the part of it that an earlier attempt has left there.

    The state of the download is in `<target>.json`, which is deleted once the file is complete.

    Raises:
        ZooError: The URL is not https, the server refuses or keeps failing, or the size is wrong.
    """
    require_https(request.url)
    best, idle = _size(target), 0
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            _attempt(request, target, progress)
        except (OSError, HTTPException, _ShortError) as error:
            idle = 0 if _size(target) > best else idle + 1
            best = max(best, _size(target))
            if not _is_temporary(error) or idle >= ATTEMPTS or attempt == MAX_ATTEMPTS:
                raise _problem(request, error) from error
        else:
            _state_path(target).unlink(missing_ok=True)
            return
        time.sleep(PAUSE * 2 ** (idle - 1) if idle else 0)


def discard(target: Path) -> None:
    """Delete an unfinished download."""
    target.unlink(missing_ok=True)
    _state_path(target).unlink(missing_ok=True)


class _ShortError(Exception):
    """A response that ended before the file was complete."""


def _problem(request: Request, error: Exception) -> ZooError:
    if isinstance(error, _ShortError):
        return ZooError(f"{request.name}: {request.url} ended after {error}", hint="try again")
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    reason = getattr(error, "reason", None) or error
    message = f"{request.name}: downloading {request.url} failed: {reason}"
    return ZooError(message, hint="check the network and try again")


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in RETRIED
    return not isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError)


def _attempt(request: Request, target: Path, progress: Progress) -> None:
    offset, headers = _continuation(request, target)
    try:
        response = _open(request, headers)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part on disk cannot be resumed
            discard(target)
        raise
    with response:
        _refuse_page(request, response)
        offset, total = _position(response, offset)
        _check_length(request, target, total, offset)
        _write_state(request, target, response, total)
        done = offset
        with target.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.truncate()
            while (total is None or done < total) and (chunk := response.read1(CHUNK)):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
                _check_length(request, target, total if total is not None else done, done, growing=total is None)
    if total is not None and done < total:
        message = f"{done} of {total} bytes"
        raise _ShortError(message)


def _continuation(request: Request, target: Path) -> tuple[int, dict[str, str]]:
    """Return the number of bytes on disk that can be resumed, and the headers of the request."""
    offset = _size(target)
    try:
        state = json.loads(_state_path(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    mark = state.get("mark", "")
    if not offset or state.get("url") != request.url or not (mark or request.resumable):
        return 0, {}
    if state.get("total") is not None and offset >= state["total"]:
        return 0, {}
    return offset, {"Range": f"bytes={offset}-", **({"If-Range": mark} if mark else {})}


def _position(response: HTTPResponse, offset: int) -> tuple[int, int | None]:
    """Return the offset at which the response starts, and the size of the file."""
    length = response.headers.get("Content-Length")
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != offset or int(match[2]) != int(match[3]) - 1:
            message = "the server sent a different range than requested"
            raise HTTPException(message)
        return offset, int(match[3])
    return 0, int(length) if length is not None and length.isdigit() else None


def _check_length(request: Request, target: Path, total: int | None, done: int, *, growing: bool = False) -> None:
    if total is None:
        return
    if request.bytes is not None and (total > request.bytes if growing else total != request.bytes):
        discard(target)
        more = "at least " if growing else ""
        message = f"{request.name}: {request.url} must have {request.bytes} bytes, got {more}{total}"
        raise ZooError(message)
    if not growing and done == 0 and (free := shutil.disk_usage(target.parent).free) < total:
        message = f"{request.name}: {total} bytes are needed in {target.parent}, but only {free} are free"
        raise ZooError(message)


def _refuse_page(request: Request, response: HTTPResponse) -> None:
    if response.headers.get_content_type() in {"text/html", "application/xhtml+xml"}:
        message = f"{request.name}: {request.url} returned an HTML page instead of a file"
        raise ZooError(message, hint="open the URL in a browser")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        message = f"{request.name}: {request.url} returned an encoded response, which was not requested"
        raise ZooError(message)


def _write_state(request: Request, target: Path, response: HTTPResponse, total: int | None) -> None:
    tag = response.headers.get("ETag", "")
    mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    _state_path(target).write_text(json.dumps({"url": request.url, "mark": mark, "total": total}), encoding="utf-8")


def _state_path(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _size(target: Path) -> int:
    return target.stat().st_size if target.is_file() else 0


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        try:
            require_https(newurl)
        except ZooError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def require_https(url: str) -> None:
    """Check that a URL is https.

    Raises:
        ZooError: It is not.
    """
    if urlsplit(url).scheme != "https":
        message = f"{url} must be an https URL"
        raise ZooError(message)


def _open(request: Request, headers: dict[str, str]) -> HTTPResponse:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=request.context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _HttpsRedirects(),
    ):
        opener.add_handler(handler)
    asked = urllib.request.Request(  # noqa: S310 - https, checked by the caller
        request.url, headers={"User-Agent": "distill-zoo", "Accept-Encoding": "identity", **headers}
    )
    response: HTTPResponse = opener.open(asked, timeout=TIMEOUT)
    return response
