"""A web server on 127.0.0.1 that breaks off, lies and asks for passwords, and packages made in a test."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
import zipfile
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Page:
    """What the server has at one path.

    Attributes:
        content: the body.
        media: its media type.
        headers: further headers.
        authorization: the header without which the answer is 401.
        cuts: bytes after which the connection is dropped, request by request; then it is served whole.
        statuses: error answers, request by request, before the content is served.
        ranges: whether Range is honoured.
        etag: validator; None: the sha256 of the content.
        redirect: another address instead of content.
        delay: seconds to wait after each chunk.
        chunk: bytes per chunk.
    """

    content: bytes = b""
    media: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    authorization: str | None = None
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = None
    redirect: str | None = None
    delay: float = 0.0
    chunk: int = 1 << 16


@dataclass
class Request:
    """One request that arrived."""

    method: str
    path: str
    headers: Message
    sent: int = 0


class Server:
    """Serves `pages` and remembers what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self, body=True)

            def do_HEAD(self) -> None:
                server.answer(self, body=False)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def asked(self, path: str, method: str = "GET") -> list[Request]:
        return [request for request in self.requests if request.path == path and request.method == method]

    def answer(self, handler: BaseHTTPRequestHandler, *, body: bool) -> None:
        request = Request(handler.command, handler.path, handler.headers)
        self.requests.append(request)
        page = self.pages.get(handler.path)
        if page is None:
            return handler.send_error(404)
        if page.authorization is not None and handler.headers["Authorization"] != page.authorization:
            return handler.send_error(401)
        if page.statuses:
            return handler.send_error(page.statuses.pop(0))
        if page.redirect is not None:
            handler.send_response(302)
            handler.send_header("Location", page.redirect)
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        return self.send(handler, page, request, body)

    def send(self, handler: BaseHTTPRequestHandler, page: Page, request: Request, body: bool) -> None:
        etag = f'"{page.etag or hashlib.sha256(page.content).hexdigest()}"'
        start, wanted = 0, handler.headers.get("Range")
        if page.ranges and wanted and handler.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            if start >= len(page.content):
                return handler.send_error(416)
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
        handler.send_header("Content-Type", page.media)
        handler.send_header("Content-Length", str(len(page.content) - start))
        handler.send_header("ETag", etag)
        for name, value in page.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if not body:
            return None
        end = start + page.cuts.pop(0) if page.cuts else len(page.content)
        for at in range(start, min(end, len(page.content)), page.chunk):
            piece = page.content[at : min(at + page.chunk, end)]
            request.sent += len(piece)
            try:
                handler.wfile.write(piece)
                handler.wfile.flush()
            except OSError:  # the client was killed, which is what the test is about
                return None
            time.sleep(page.delay)
        return None


def write_pip_conf(home: Path, text: str) -> None:
    """Write the user's pip.conf; what it leaves out is emptied, so that the machine's own files have no say."""
    settings = {"index-url": "http://127.0.0.1:9", "extra-index-url": "", "find-links": "", "proxy": "", "cert": ""}
    settings |= dict(line.split(" = ", 1) for line in text.splitlines())
    lines = [f"{key} = {value}" for key, value in settings.items()]
    (home / ".config" / "pip" / "pip.conf").write_text("\n".join(["[global]", *lines]) + "\n")


# -- packages ----------------------------------------------------------------------------------------------------------


def make_wheel(
    files: dict[str, bytes], package: str = "tiny_weights", version: str = "1.0", license: str = ""
) -> bytes:
    """Make a wheel of these files; it is not installable, as some real ones are not either."""
    described = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n" + (license and f"License: {license}\n")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, f"{package}-{version}.dist-info/METADATA": described.encode()}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def make_tarball(files: dict[str, bytes], top: str = "package") -> bytes:
    """Make a gzipped tarball as npm and sdists are: everything inside one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    """Make an .npz."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
