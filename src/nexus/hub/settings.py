"""The environment variables that the hub obeys, read at each call: a test or a notebook may set them at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_dir", "mirror_enabled", "offline"]


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


def _flag(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
