"""Where weights come from: a file, the Hugging Face hub, a package of the user's own index, an address.

The hub knows no model: it delivers flat dicts of tensors under the names of their source, from a content-addressed
cache of safetensors. Nothing that is fetched is installed, built, unpickled or run, and nothing is reported to anyone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.hub.cache import CacheEntry as CacheEntry
    from nexus.hub.cache import describe_cache as describe_cache
    from nexus.hub.fetching import fetch as fetch
    from nexus.hub.huggingface import fetch_file as fetch_file
    from nexus.hub.huggingface import fetch_repository as fetch_repository
    from nexus.hub.readers import read_tensors as read_tensors
    from nexus.hub.settings import cache_dir as cache_dir
    from nexus.hub.settings import mirror_enabled as mirror_enabled
    from nexus.hub.settings import offline as offline
    from nexus.hub.sources import HuggingFaceSource as HuggingFaceSource
    from nexus.hub.sources import PackageSource as PackageSource
    from nexus.hub.sources import UrlSource as UrlSource
    from nexus.hub.sources import parse_source as parse_source

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CacheEntry": ".cache",
        "HuggingFaceSource": ".sources",
        "PackageSource": ".sources",
        "UrlSource": ".sources",
        "cache_dir": ".settings",
        "describe_cache": ".cache",
        "fetch": ".fetching",
        "fetch_file": ".huggingface",
        "fetch_repository": ".huggingface",
        "mirror_enabled": ".settings",
        "offline": ".settings",
        "parse_source": ".sources",
        "read_tensors": ".readers",
    },
)
