"""One way to open an address: the user's certificates, proxies and credentials, and timeouts of seconds.

Credentials are sent to the origin that they belong to and never follow a redirect elsewhere.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import netrc
import os
import socket
import ssl
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from nexus.errors import DownloadError

__all__ = [
    "Access",
    "HttpError",
    "Response",
    "basic",
    "open_url",
    "origin",
    "quoted",
    "read_text",
    "within",
    "without_credentials",
]

T = TypeVar("T")

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
MAX_PAGE = 256 * 1024**2
"""Largest index page or packument that is read, in bytes."""


@dataclass(frozen=True)
class Access:
    """How the user's own tools are configured to reach a server.

    Attributes:
        authorization: origin, or longer address prefix -> value of the Authorization header; the longest match wins.
        certificates: a PEM bundle to trust instead of the system's.
        client_certificate: PEM of certificate and key to present.
        insecure_hosts: hosts whose certificate is not checked, since the user said so; ``"*"`` for all.
        proxies: scheme -> proxy address; None: from the environment.
    """

    authorization: Mapping[str, str] = field(default_factory=dict)
    certificates: str | None = None
    client_certificate: str | None = None
    insecure_hosts: frozenset[str] = frozenset()
    proxies: Mapping[str, str] | None = None

    def header(self, url: str) -> str | None:
        """Return the Authorization header for an address: its own, the configured one, or .netrc's."""
        parts = urlsplit(url)
        if parts.username is not None:
            return basic(unquote(parts.username), unquote(parts.password or ""))
        plain = without_credentials(url)
        matching = [prefix for prefix in self.authorization if (plain + "/").startswith(prefix.rstrip("/") + "/")]
        if matching:
            return self.authorization[max(matching, key=len)]
        return _from_netrc(parts.hostname or "")

    def context(self, host: str) -> ssl.SSLContext:
        """Return the TLS settings for a host."""
        context = ssl.create_default_context(cafile=self.certificates) if self.certificates else _system_context()
        if self.client_certificate:
            context.load_cert_chain(self.client_certificate)
        if host in self.insecure_hosts or "*" in self.insecure_hosts:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


class HttpError(DownloadError):
    """A server did not answer (`status` is None), or answered with an error."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Response:
    """An open answer: `url` is where it came from after redirects, `headers` are case-insensitive."""

    url: str
    status: int
    headers: Any
    body: http.client.HTTPResponse


def open_url(url: str, access: Access, headers: Mapping[str, str] | None = None) -> Response:
    """Open an ``http(s)`` address for reading; the caller closes `body`.

    Raises:
        HttpError: it cannot be reached, or answers with an error.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _failure(url, "is not an http(s) address", None)
    request = urllib.request.Request(without_credentials(url), headers={"User-Agent": "nexus", **(headers or {})})
    if (authorization := access.header(url)) is not None:
        request.add_unredirected_header("Authorization", authorization)
    proxies = dict(urllib.request.getproxies() if access.proxies is None else access.proxies)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), _Http(), _Https(access), _Redirect(access)
    )
    try:
        if parts.scheme not in proxies or urllib.request.proxy_bypass(parts.hostname):
            within(CONNECT_SECONDS, lambda: socket.getaddrinfo(parts.hostname, None))
        answer = opener.open(request, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        hint = ""
        if error.code in (401, 403):
            hint = " (passwords are read from .netrc and the settings of pip, uv and npm)"
        raise _failure(url, f"answers {error.code} {error.reason}{hint}", error.code) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
        raise _failure(url, f"cannot be reached ({getattr(error, 'reason', None) or error})", None) from None
    return Response(answer.url, answer.status, answer.headers, answer)


def read_text(url: str, access: Access, accept: str) -> tuple[str, str, str]:
    """Read a page.

    Returns:
        Its text, its media type, and its address after redirects.

    Raises:
        HttpError: it cannot be had, or is unreasonably large.
    """
    answer = open_url(url, access, {"Accept": accept})
    with answer.body:
        try:
            content = answer.body.read(MAX_PAGE + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _failure(url, f"broke off ({error!r})", None) from None
    if len(content) > MAX_PAGE:
        raise _failure(url, f"sends a page of more than {MAX_PAGE} bytes", None)
    return content.decode("utf-8", "replace"), answer.headers.get_content_type(), answer.url


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises, but wait no longer than so many seconds.

    Socket timeouts do not cover name resolution, which alone can take a minute behind a firewall.

    Raises:
        TimeoutError: it takes longer; it is left to end by itself.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            outcome.set_exception(error)

    threading.Thread(target=run, name="nexus-hub", daemon=True).start()
    if not wait([outcome], seconds).done:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return outcome.result()


def origin(url: str) -> str:
    """Return ``scheme://host:port`` of an address."""
    parts = urlsplit(without_credentials(url))
    return f"{parts.scheme}://{parts.netloc}"


def without_credentials(url: str) -> str:
    """Return the address as it may be shown and sent: without ``user:password@``."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def basic(user: str, password: str) -> str:
    """Return the header value of HTTP basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def quoted(segment: str) -> str:
    """Return text as one segment of an address; ``@`` may stay."""
    return quote(segment, safe="@")


def _failure(url: str, what: str, status: int | None) -> HttpError:
    return HttpError(f"{without_credentials(url)} {what}", status)


def _from_netrc(host: str) -> str | None:
    """Look a host up in ``$NETRC``, ``~/.netrc`` or ``~/_netrc``; a file that does not parse counts as absent."""
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path("~/.netrc").expanduser(), Path("~/_netrc").expanduser()]:
        try:
            found = netrc.netrc(str(path)).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            continue
        if found:
            return basic(found[0] or found[1] or "", found[2] or "")
    return None


def _system_context() -> ssl.SSLContext:
    """Trust what the system trusts; Python on macOS does not see the system's certificates by itself."""
    if sys.platform == "darwin":
        with contextlib.suppress(ImportError):
            import truststore

            return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context()


class _Patient(http.client.HTTPConnection):
    """Gives up connecting after seconds, but is patient with a server that has answered."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _PatientTls(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Patient, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        # Through a proxy, req.host is the proxy; the certificate checked is that of the server behind it.
        host = urlsplit(req.full_url).hostname or ""
        return self.do_open(functools.partial(_PatientTls, context=self._access.context(host)), req)


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http(s) only, never from https to http, with the credentials of the new address."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https://") and not newurl.startswith("https://"):
            raise urllib.error.HTTPError(req.full_url, code, "redirects to an unencrypted address", headers, fp)
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and (authorization := self._access.header(newurl)) is not None:
            new.add_unredirected_header("Authorization", authorization)
        return new
