"""A local server with TLS, so that the https-only rule needs no exception, and cards to download from it."""

from __future__ import annotations

import http.server
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from distill_zoo import Card, WeightFile, _cards, _fetch

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Site:
    """The content of the server, and a log of its requests.

    Attributes:
        answers: Path → (status, headers, body).
        requests: The requested paths.
        ranges: The `Range` header of each request.
        cuts: Number of bytes after which each response in turn is cut off.
        accepts_ranges: Whether range requests are supported.
        pause: Seconds between two chunks of 64 KB.
    """

    address: str
    context: ssl.SSLContext
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    accepts_ranges: bool = True
    pause: float = 0.0

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (status, named, body)
        return self.address + path


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        self.site.requests.append(self.path)
        self.site.ranges.append(self.headers.get("Range", ""))
        status, headers, body = self.site.answers.get(self.path, (404, {}, b""))
        start = self._start(headers, len(body)) if status == 200 else 0
        if start:
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        body = body[start:]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.site.cuts:
            body = body[: self.site.cuts.pop(0)]
        for at in range(0, len(body), 1 << 16):
            time.sleep(self.site.pause)
            self.wfile.write(body[at : at + (1 << 16)])
        self.close_connection = True

    def do_HEAD(self) -> None:
        status, headers, body = self.site.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _start(self, headers: dict[str, str], length: int) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        mark = self.headers.get("If-Range")
        if not match or not self.site.accepts_ranges or (mark and mark != headers.get("ETag")):
            return 0
        return int(match[1]) if int(match[1]) < length else 0

    def log_message(self, *args: object) -> None:
        """Log nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def site(authority: trustme.CA) -> Iterator[Site]:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.socket = server_side.wrap_socket(server.socket, server_side=True)
        handler.site = Site(f"https://localhost:{server.server_address[1]}", client_side)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler.site
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path / "home"))
    for name in ("DISTILL_OFFLINE", "DISTILL_ZOO_MIRROR", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_fetch, "PAUSE", 0.0)
    yield
    _cards.forget()


@pytest.fixture
def make_card():
    def make(url: str, sha256: str | None = None, builder: str = "torch.nn.Linear", **kwargs: object) -> Card:
        kind = "safetensors" if url.endswith(".safetensors") else "torch"
        weights = WeightFile(url=url, sha256=sha256, format=kind)
        return Card(name="toy/line", dataset="toy", builder=builder, kwargs=kwargs, weights=weights, license="MIT")

    return make


@pytest.fixture
def add_card(monkeypatch):
    """Add a card to the registry."""

    def add(card: Card) -> Card:
        known = _cards.registry()
        extended = _cards.Registry({**known.cards, card.name: card}, known.renamed, known.folders)
        monkeypatch.setattr(_cards, "_collect", _Fixed(extended))
        return card

    return add


class _Fixed:
    """Replacement for the function that collects the cards."""

    def __init__(self, known: _cards.Registry) -> None:
        self.known = known

    def __call__(self, local: Path) -> _cards.Registry:
        return self.known

    def cache_clear(self) -> None:
        """Do nothing: nothing is cached."""
