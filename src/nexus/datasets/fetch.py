"""One picture from an http(s) address that the user typed, within a size and a time."""

from __future__ import annotations

import http.client
import threading
import time

from nexus.errors import ImageError, NexusError
from nexus.hub import offline
from nexus.hub.http import Access, open_url, without_credentials
from nexus.transforms.image import EncodedImage

__all__ = ["fetch_image", "is_address"]

CHUNK = 2**16


def is_address(source: str) -> bool:
    """Say whether a source is an http(s) address."""
    return source.lower().startswith(("http://", "https://"))


def fetch_image(address: str, *, max_bytes: int = 256 * 2**20, seconds: float = 60.0) -> EncodedImage:
    """Fetch the file at an address; nothing is decoded.

    The system's proxies and certificates and the user's netrc apply. At most ten redirects are followed, to http and
    https only.

    Args:
        address: ``http://`` or ``https://``.
        max_bytes: the largest file that is taken.
        seconds: time for all of it, a server that sends a byte now and then included.

    Raises:
        ImageError: the network is switched off, or the file did not come within the limits.
    """
    name = without_credentials(address)
    if offline():
        raise ImageError(name, "is not fetched: the network is switched off (NEXUS_OFFLINE or HF_HUB_OFFLINE)")
    results: list[EncodedImage | ImageError] = []
    deadline = time.monotonic() + seconds

    def fetch() -> None:
        try:
            results.append(EncodedImage(_read(address, name, max_bytes, deadline), name))
        except ImageError as error:
            results.append(error)
        except (NexusError, OSError, http.client.HTTPException) as error:
            results.append(ImageError(name, f"cannot be fetched ({str(error).removeprefix(name).strip()})"))

    # A socket's timeout starts anew with each byte; only a second thread can give up on time.
    thread = threading.Thread(target=fetch, name="nexus-fetch", daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        raise ImageError(name, f"did not arrive within {seconds:g} s")
    if isinstance(results[0], ImageError):
        raise results[0]
    return results[0]


def _read(address: str, name: str, max_bytes: int, deadline: float) -> bytes:
    response = open_url(address, Access(), {"Accept": "image/*"})
    data = bytearray()
    with response.body:
        promised = response.headers.get("Content-Length", "")
        if promised.isdigit() and int(promised) > max_bytes:
            raise ImageError(name, f"is {int(promised):,} bytes long; the limit is {max_bytes:,}")
        while chunk := response.body.read(CHUNK):
            data += chunk
            if len(data) > max_bytes:
                raise ImageError(name, f"is longer than the limit of {max_bytes:,} bytes")
            if time.monotonic() > deadline:
                raise ImageError(name, "takes too long")
    if promised.isdigit() and len(data) < int(promised):
        raise ImageError(name, f"broke off after {len(data):,} of {int(promised):,} bytes")
    return bytes(data)
