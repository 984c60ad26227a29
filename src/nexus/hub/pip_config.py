"""Where the user's Python packages come from, as pip and uv are configured: files, environment variables, .netrc."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nexus.hub.http import Access, basic, origin

__all__ = ["PYPI", "PythonIndexes", "python_indexes"]

PYPI = "https://pypi.org/simple"


@dataclass(frozen=True)
class PythonIndexes:
    """Places to look for Python packages, in order.

    Attributes:
        find_links: folders, pages or files that list archives.
        indexes: addresses of simple indexes.
        access: certificates, proxies and credentials.
    """

    find_links: tuple[str, ...]
    indexes: tuple[str, ...]
    access: Access


def python_indexes() -> PythonIndexes:
    """Read pip's and uv's configuration; what either names is used, and the public index only if neither names one."""
    pip, uv = _pip(), _uv()
    off = pip.no_index or uv.no_index
    indexes = [*pip.indexes, *uv.indexes, *pip.extra, *uv.extra]
    if not off and not (pip.indexes or uv.indexes):
        indexes.insert(0, PYPI)
    access = replace(
        pip.access,
        authorization={**uv.access.authorization, **_in_urls(indexes), **pip.access.authorization},
        insecure_hosts=pip.access.insecure_hosts | uv.access.insecure_hosts,
    )
    return PythonIndexes(
        find_links=_unique([*pip.find_links, *uv.find_links]),
        indexes=() if off else _unique(url.rstrip("/") for url in indexes),
        access=access,
    )


@dataclass(frozen=True)
class _Settings:
    """What one tool's configuration says."""

    indexes: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    access: Access = field(default_factory=Access)


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _in_urls(urls: Iterable[str]) -> dict[str, str]:
    """Credentials written into index addresses: they hold for the whole origin, files included."""
    found = {}
    for url in urls:
        if urlsplit(url).username is not None and (header := Access().header(url)):
            found[origin(url)] = header
    return found


# -- pip -------------------------------------------------------------------------------------------------------------

SECTIONS = ("global", "install", "download")
"""Sections of pip's configuration that are read, the later overriding the earlier."""


def _pip() -> _Settings:
    values = _pip_values()
    proxy = values.get("proxy")
    return _Settings(
        indexes=tuple(values.get("index-url", "").split()),
        extra=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(_split_paths(values.get("find-links", ""))),
        no_index=values.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        access=Access(
            certificates=_existing(values.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE")),
            client_certificate=_existing(values.get("client-cert")),
            insecure_hosts=frozenset(host.partition(":")[0] for host in values.get("trusted-host", "").split()),
            proxies={"http": proxy, "https": proxy} if proxy else None,
        ),
    )


def _split_paths(text: str) -> list[str]:
    """Split at white space; quotes keep a path with spaces together."""
    if os.name == "nt" or not re.search(r"['\"]", text):
        return text.split()
    return shlex.split(text)


def _existing(path: str | None) -> str | None:
    return path if path and Path(path).expanduser().exists() else None


def _pip_values() -> dict[str, str]:
    """Merge pip's files and variables the way pip does: later files over earlier, then sections, then variables."""
    merged: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for path in _pip_files():
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip itself says so when it is used; here another file may still have the address
        for section in SECTIONS:
            if parser.has_section(section):
                merged[section].update({_key(k): v for k, v in parser.items(section)})
    values = {key: value for section in SECTIONS for key, value in merged[section].items() if value}
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            values[_key(name.removeprefix("PIP_"))] = value
    return values


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _pip_files() -> Iterator[Path]:
    """pip's configuration files, the later overriding the earlier."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip" / "pip.ini"
        yield home / "pip" / "pip.ini"
        yield Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "pip" / "pip.ini"
        yield Path(sys.prefix) / "pip.ini"
    else:
        for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"):
            yield Path(folder) / "pip" / "pip.conf"
        yield Path("/etc/pip.conf")
        if sys.platform == "darwin":
            yield Path("/Library/Application Support/pip/pip.conf")
            yield home / "Library" / "Application Support" / "pip" / "pip.conf"
        yield home / ".pip" / "pip.conf"
        yield _config_home() / "pip" / "pip.conf"
        yield Path(sys.prefix) / "pip.conf"
    if named:
        yield Path(named).expanduser()


def _config_home() -> Path:
    named = os.environ.get("XDG_CONFIG_HOME")
    return Path(named) if named else Path.home() / ".config"


# -- uv --------------------------------------------------------------------------------------------------------------


def _uv() -> _Settings:
    """uv's settings: variables over the project's file over the user's over the machine's."""
    tables = [*_uv_tables()]
    entries = [entry for table in tables for entry in _uv_index_tables(table)]
    named = [_uv_entry(text) for text in os.environ.get("UV_INDEX", "").split()]
    default = _uv_entry(os.environ["UV_DEFAULT_INDEX"]) if os.environ.get("UV_DEFAULT_INDEX") else None
    entries = [*([{**default, "default": True}] if default else []), *named, *entries]
    first = os.environ.get("UV_INDEX_URL") or next((t["index-url"] for t in tables if t.get("index-url")), "")
    extra = os.environ.get("UV_EXTRA_INDEX_URL", "").split() or [
        u for t in tables for u in t.get("extra-index-url", [])
    ]
    links = [part for part in os.environ.get("UV_FIND_LINKS", "").split(",") if part]
    insecure = os.environ.get("UV_INSECURE_HOST", "").split() or [
        host for table in tables for host in table.get("allow-insecure-host", [])
    ]
    return _Settings(
        indexes=_unique([*(e["url"] for e in entries if e.get("default")), *([first] if first else [])]),
        extra=_unique([*(e["url"] for e in entries if not e.get("default")), *extra]),
        find_links=_unique(links or [link for table in tables for link in table.get("find-links", [])]),
        no_index=any(bool(table.get("no-index")) for table in tables) or bool(os.environ.get("UV_NO_INDEX")),
        access=Access(
            authorization=_uv_credentials(entries),
            insecure_hosts=frozenset(host.partition(":")[0] for host in insecure),
        ),
    )


def _uv_entry(text: str) -> dict[str, Any]:
    """Read ``name=url`` or ``url``."""
    name, equals, url = text.partition("=")
    return {"name": name, "url": url} if equals and re.fullmatch(r"[\w.-]+", name) else {"url": text}


def _uv_index_tables(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Named indexes; one marked explicit serves only the packages that are pinned to it."""
    entries = [entry for entry in table.get("index", []) if isinstance(entry, dict) and not entry.get("explicit")]
    return [entry for entry in entries if isinstance(entry.get("url"), str)]


def _uv_credentials(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD`` belong to the index of that name."""
    found = {}
    for entry in entries:
        variable = "UV_INDEX_" + re.sub(r"\W", "_", str(entry.get("name", ""))).upper()
        user, password = os.environ.get(f"{variable}_USERNAME"), os.environ.get(f"{variable}_PASSWORD")
        if user is not None or password is not None:
            found[origin(entry["url"])] = basic(user or "", password or "")
    return found


def _uv_tables() -> Iterator[dict[str, Any]]:
    """uv's settings tables, most specific first."""
    if os.environ.get("UV_NO_CONFIG"):
        return
    if named := os.environ.get("UV_CONFIG_FILE"):
        yield from _toml(Path(named).expanduser())
        return
    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / "uv.toml").is_file():
            yield from _toml(folder / "uv.toml")
            break
        if found := [*_toml(folder / "pyproject.toml", "tool", "uv")]:
            yield from found
            break
    home = Path(os.environ.get("APPDATA", "~/AppData/Roaming")) if sys.platform == "win32" else _config_home()
    yield from _toml(home.expanduser() / "uv" / "uv.toml")
    yield from _toml(
        Path(os.environ.get("PROGRAMDATA", "C:/ProgramData") if os.name == "nt" else "/etc") / "uv/uv.toml"
    )


def _toml(path: Path, *tables: str) -> Iterator[dict[str, Any]]:
    """Read a table of a TOML file; nothing where there is none. uv's own ``[pip]`` table comes before the rest."""
    try:
        content: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for table in tables:
        content = content.get(table, {}) if isinstance(content, dict) else {}
    if isinstance(content, dict) and content:
        if isinstance(content.get("pip"), dict):
            yield content["pip"]
        yield content
