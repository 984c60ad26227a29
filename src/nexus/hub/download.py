"""Fetch one file: streamed, resumed where it broke off, and checked against what was promised."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from nexus.errors import ChecksumError, DownloadError
from nexus.hub.http import Access, HttpError, Response, open_url, without_credentials
from nexus.results import Progress, ProgressEvent

__all__ = ["Link", "download", "local_path", "sha256_of"]

CHUNK = 1 << 20
ATTEMPTS = 4
"""How often in a row a download may break off without having got any further."""

BACKOFF_SECONDS = 0.25
"""Pause before the second try; each further one is four times as long."""

DISK_ERRORS = {errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC)}

RETRIED = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers that may be different a second later."""


@dataclass(frozen=True)
class Link:
    """An address of a file, and what is promised about its bytes.

    Attributes:
        url: ``http(s)://`` or ``file://``.
        digests: algorithm of `hashlib` -> hexadecimal digest.
        size: in bytes.
        access: how to reach it.
    """

    url: str
    digests: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    access: Access = field(default_factory=Access)


def download(link: Link, target: Path, *, stage: str, progress: Progress | None = None) -> Path:
    """Fetch a file, resuming what an earlier call, or an earlier process, left behind.

    Args:
        link: what to fetch.
        target: where it is put; beside it ``.part`` and ``.part.json`` hold an unfinished download.
        stage: the stage of the progress events; they count bytes.
        progress: told after each chunk.

    Returns:
        `target`; or, for a ``file://`` address, the file itself, which is checked but not copied.

    Raises:
        DownloadError: the file cannot be had.
        ChecksumError: it is not what was promised, twice.
    """
    report = _reporter(stage, progress)
    if urlsplit(link.url).scheme == "file":
        return _check_local(link, report)
    if link.digests and target.is_file() and not _mismatch(link, _digest_file(target, link, report), _size(target)):
        return target
    mismatch = ""
    for _ in range(2):  # damaged in a partial file or on the way: worth one fresh start, no more
        part, digests = _fetch_part(link, target, report)
        mismatch = _mismatch(link, digests, _size(part))
        if not mismatch:
            os.replace(part, target)
            _state_file(part).unlink(missing_ok=True)
            return target
        _discard(part)
    raise ChecksumError(
        f"{without_credentials(link.url)} is not the file that was promised, twice: {mismatch}. Either the server has "
        "another file under this name, or something on the way changes it; nothing was kept"
    )


def local_path(url: str) -> Path:
    """Return the path of a ``file://`` address."""
    return Path(url2pathname(urlsplit(url).path))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Report = Callable[[int, int | None], None]


def _reporter(stage: str, progress: Progress | None) -> Report:
    if progress is None:
        return lambda _done, _total: None
    return lambda done, total: progress(ProgressEvent(stage=stage, done=done, total=total, unit="bytes"))


def _check_local(link: Link, report: Report) -> Path:
    path = local_path(link.url)
    if not path.is_file():
        raise DownloadError(f"{link.url} does not exist")
    if mismatch := _mismatch(link, _digest_file(path, link, report), _size(path)):
        raise ChecksumError(f"{link.url} is not the file that was promised: {mismatch}")
    return path


def _mismatch(link: Link, digests: Mapping[str, Any], size: int) -> str:
    """Say how a file differs from what was promised, or return an empty string."""
    if link.size is not None and size != link.size:
        return f"{size} bytes instead of {link.size}"
    for algorithm, promised in link.digests.items():
        if (found := digests[algorithm].hexdigest()) != promised.lower():
            return f"{algorithm} {found} instead of {promised}"
    return ""


def _digest_file(path: Path, link: Link, report: Report) -> dict[str, Any]:
    """Start the digests with what a file already holds."""
    digests, done, size = {name: hashlib.new(name) for name in link.digests}, 0, path.stat().st_size
    if digests:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                for digest in digests.values():
                    digest.update(chunk)
                done += len(chunk)
                report(done, size)
    return digests


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _fetch_part(link: Link, target: Path, report: Report) -> tuple[Path, dict[str, Any]]:
    """Bring the ``.part`` file to its full length, across broken connections."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures, last = 0, ""
    while failures < ATTEMPTS:
        before = _size(part)
        try:
            return part, _continue(link, part, report)
        except HttpError as error:
            if not _may_pass(error, before > 0 or failures > 0):
                raise
            last = str(error)
        except (OSError, http.client.HTTPException) as error:
            if _is_of_the_disk(error):
                raise DownloadError(f"{part} cannot be written ({error}); NEXUS_CACHE puts it elsewhere") from error
            last = repr(error)
        failures = 1 if _size(part) > before else failures + 1
        if failures < ATTEMPTS:
            time.sleep(BACKOFF_SECONDS * 4 ** (failures - 1))
    raise DownloadError(
        f"{without_credentials(link.url)} broke off {ATTEMPTS} times in a row ({last}); what was received is kept, "
        "the next call continues there"
    )


def _is_of_the_disk(error: Exception) -> bool:
    """Whether an error comes from our own disk and not from the network: trying again would not help."""
    return isinstance(error, OSError) and (error.filename is not None or error.errno in DISK_ERRORS)


def _may_pass(error: HttpError, had_contact: bool) -> bool:
    """Whether trying again makes sense; a server that never answered is given up at once."""
    return error.status in RETRIED if error.status is not None else had_contact


def _continue(link: Link, part: Path, report: Report) -> dict[str, Any]:
    """Ask for what is missing and append it; returns the digests of the whole file.

    Raises:
        DownloadError: no usable answer.
        OSError, http.client.HTTPException: the connection broke; the part file holds what arrived.
    """
    start = _resumable(part, link)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": _validator(part)} if _validator(part) else {})
    try:
        answer = open_url(link.url, link.access, headers)
    except HttpError as error:
        if start and error.status == 416:  # nothing lies beyond what we have, or it is another file
            if start == link.size or (link.size is None and link.digests):
                return _digest_file(part, link, report)
            _discard(part)
            return _continue(link, part, report)
        raise
    with answer.body:
        resumed = start > 0 and answer.status == 206 and _range_start(answer) == start
        if not resumed:
            _discard(part)
            if answer.status == 206:  # a range that we did not ask for
                raise DownloadError(f"{without_credentials(link.url)} answers with a range that was not asked for")
            start = 0
            _remember(part, link, answer)
        return _append(link, part, answer, start, report)


def _append(link: Link, part: Path, answer: Response, start: int, report: Report) -> dict[str, Any]:
    digests = _digest_file(part, link, lambda _done, _total: None) if start else _digest_nothing(link)
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length is not None and length.isdigit() else link.size
    done = start
    with part.open("ab") as file:
        while chunk := answer.body.read1(CHUNK):  # what is there, so that a killed process loses next to nothing
            file.write(chunk)
            file.flush()
            done += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
            report(done, total)
            if link.size is not None and done > link.size:
                raise ChecksumError(f"{without_credentials(link.url)} sends more than the {link.size} bytes promised")
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)
    return digests


def _digest_nothing(link: Link) -> dict[str, Any]:
    return {name: hashlib.new(name) for name in link.digests}


def _range_start(answer: Response) -> int | None:
    """First byte of a partial answer, from ``Content-Range: bytes 100-199/200``."""
    first = (answer.headers.get("Content-Range") or "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else None


# -- what is known about an unfinished download ----------------------------------------------------------------------


def _state_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember(part: Path, link: Link, answer: Response) -> None:
    """Write down which version of the file the part belongs to, before its first byte."""
    validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    weak = validator.startswith("W/")  # a weak ETag does not promise equal bytes
    state = {"digests": dict(link.digests), "validator": "" if weak else validator}
    _state_file(part).write_text(json.dumps(state), encoding="utf-8")


def _validator(part: Path) -> str:
    return str(_state(part).get("validator", ""))


def _state(part: Path) -> dict[str, Any]:
    try:
        state = json.loads(_state_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _resumable(part: Path, link: Link) -> int:
    """Bytes of the part file that can be kept: all, if it is known to be of the file that is asked for; else none."""
    state = _state(part)
    same = state.get("digests") == dict(link.digests) and (link.digests or state.get("validator"))
    if same and part.is_file() and (link.size is None or _size(part) <= link.size):
        return _size(part)
    _discard(part)
    return 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_file(part).unlink(missing_ok=True)
