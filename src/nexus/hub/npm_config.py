"""Where the user's npm packages come from, as npm is configured: .npmrc of project, user and machine, and variables."""

from __future__ import annotations

import base64
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus.hub.http import Access, basic

__all__ = ["NPM", "NpmRegistry", "npm_registry"]

NPM = "https://registry.npmjs.org"


@dataclass(frozen=True)
class NpmRegistry:
    """The registry that a package comes from.

    Attributes:
        url: its address, without a slash at the end.
        access: certificates, proxies and credentials.
    """

    url: str
    access: Access


def npm_registry(package: str) -> NpmRegistry:
    """Read npm's configuration for a package; a scoped package (``@scope/name``) may have a registry of its own."""
    values = _values()
    scope = package.partition("/")[0] if package.startswith("@") else ""
    default = values.get("registry", NPM).rstrip("/")
    url = values.get(f"{scope}:registry", default).rstrip("/") if scope else default
    proxy = values.get("https-proxy") or values.get("proxy")
    cafile = values.get("cafile")
    access = Access(
        authorization=_credentials(values, default),
        certificates=cafile if cafile and Path(cafile).expanduser().is_file() else None,
        insecure_hosts=frozenset({"*"} if values.get("strict-ssl") == "false" else ()),
        proxies={"http": values.get("proxy") or proxy, "https": proxy} if proxy else None,
    )
    return NpmRegistry(url, access)


def _values() -> dict[str, str]:
    """Merge npm's files and variables: machine, user, project, environment."""
    variables = {
        _variable_key(name): value for name, value in os.environ.items() if name.lower().startswith("npm_config_")
    }
    values: dict[str, str] = {}
    for path in _files(variables):
        values.update(_parse(path))
    return {**values, **{key: value for key, value in variables.items() if value}}


def _variable_key(name: str) -> str:
    """``npm_config_strict_ssl`` -> ``strict-ssl``; keys that are addresses keep their spelling."""
    key = name[len("npm_config_") :]
    if key.startswith(("/", "@")):
        return key
    if key.startswith("_"):
        return {"_authtoken": "_authToken"}.get(key.lower(), key.lower())
    return key.lower().replace("_", "-")


def _files(variables: Mapping[str, str]) -> Iterator[Path]:
    """npm's configuration files, the later overriding the earlier."""
    if named := variables.get("globalconfig"):
        yield Path(named).expanduser()
    elif prefix := variables.get("prefix") or os.environ.get("PREFIX") or _prefix():
        yield Path(prefix) / "etc" / "npmrc"
    user = Path(variables.get("userconfig") or "~/.npmrc").expanduser()
    yield user
    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / "package.json").is_file() or (folder / "node_modules").is_dir() or (folder / ".npmrc").is_file():
            if folder / ".npmrc" != user:
                yield folder / ".npmrc"
            break


def _prefix() -> str | None:
    """npm's default prefix: the folder that node is installed in."""
    node = shutil.which("node")
    if node is None:
        return None
    folder = Path(node).resolve().parent
    return str(folder if sys.platform == "win32" else folder.parent)


def _parse(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    values = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith((";", "#")):
            values[_expand(key.strip())] = _expand(value.strip().strip("\"'"))
    return values


def _expand(text: str) -> str:
    """Replace ``${NAME}``; an unset variable stays as it is written, or becomes empty with ``${NAME?}``."""

    def value(match: re.Match[str]) -> str:
        name = match[1].removesuffix("?")
        return os.environ.get(name, "" if match[1].endswith("?") else match[0])

    return re.sub(r"\$\{([^${}]+)\}", value, text)


def _credentials(values: Mapping[str, str], default: str) -> dict[str, str]:
    """Authorization headers, by address prefix; ``//host/path/:_authToken`` says for which."""
    headers: dict[str, str] = {}
    for key in values:
        prefix, colon, what = key.rpartition(":")
        if what not in ("_authToken", "_auth", "username"):
            continue
        header = _header(values, prefix + colon, what)
        if header and prefix.startswith("//"):
            headers |= {f"{scheme}:{prefix.rstrip('/')}": header for scheme in ("https", "http")}
        elif header and not prefix:
            headers.setdefault(default, header)
    return headers


def _header(values: Mapping[str, str], prefix: str, what: str) -> str | None:
    if what == "_authToken":
        return f"Bearer {values[prefix + what]}"
    if what == "_auth":
        return f"Basic {values[prefix + what]}"
    password = values.get(f"{prefix}_password")
    if password is None:
        return None
    return basic(values[prefix + what], base64.b64decode(password).decode("utf-8", "replace"))
