"""The environment variables that the hub obeys, read at each call: a test or a notebook may set them at any time."""

from __future__ import annotations

import fnmatch
import os
import sys
from pathlib import Path

__all__ = ["cache_dir", "license_accepted", "mirror_enabled", "offline"]


def cache_dir() -> Path:
    """Return the cache folder: ``$NEXUS_CACHE``, else ``nexus`` in the platform's user cache folder."""
    if named := os.environ.get("NEXUS_CACHE"):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nexus"


def offline() -> bool:
    """Return whether the network is switched off: ``NEXUS_OFFLINE`` or ``HF_HUB_OFFLINE`` is set to a true value."""
    return _flag("NEXUS_OFFLINE") or _flag("HF_HUB_OFFLINE")


def mirror_enabled(mirror: bool | None) -> bool:
    """Return whether packages of the user's index may be looked into: the argument, else ``NEXUS_MIRROR``."""
    return _flag("NEXUS_MIRROR") if mirror is None else mirror


def license_accepted(name: str, license: str | None, accept: bool) -> bool:
    """Return whether a licence was accepted: by the argument, or by ``NEXUS_ACCEPT_LICENSES``.

    The variable lists models and licences with commas, e.g. ``"mae_*,CC-BY-NC-4.0"``; ``*`` stands for any letters, and
    ``1`` for all.

    Args:
        name: of the model or repository.
        license: its licence.
        accept: what the caller said.
    """
    if accept or _flag("NEXUS_ACCEPT_LICENSES"):
        return True
    listed = [entry.strip().lower() for entry in os.environ.get("NEXUS_ACCEPT_LICENSES", "").split(",")]
    names = (name.lower(), (license or "").lower())
    return any(fnmatch.fnmatchcase(one, entry) for entry in listed if entry for one in names)


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
