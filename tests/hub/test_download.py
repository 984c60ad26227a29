"""Downloads end with the right bytes or with an error that says why, whatever the server does."""

from __future__ import annotations

import errno
import random
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from hub_server import Page, Server, sha256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus.errors import ChecksumError, DownloadError
from nexus.hub.download import Link, _is_of_the_disk, download
from nexus.hub.http import Access, _Redirect, open_url, within, without_credentials

CONTENT = random.Random(0).randbytes(300_000)


def link(server: Server, *, path: str = "/file", content: bytes = CONTENT, **changes) -> Link:
    return Link(server.url + path, **{"digests": {"sha256": sha256(content)}, **changes})


def test_whole_file_with_progress(server: Server, tmp_path: Path, events) -> None:
    collected, progress = events
    server.pages["/file"] = Page(CONTENT)
    path = download(link(server), tmp_path / "sub" / "file", stage="download x", progress=progress)
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert [event.done for event in collected] == sorted({event.done for event in collected})
    assert (collected[-1].done, collected[-1].total, collected[-1].unit) == (len(CONTENT), len(CONTENT), "bytes")


def test_finished_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT)
    for _ in range(2):
        download(link(server), tmp_path / "file", stage="x")
    assert len(server.requests) == 1


def test_broken_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT, cuts=[100_000, 70_000])
    assert download(link(server), tmp_path / "file", stage="x").read_bytes() == CONTENT
    assert [request.headers["Range"] for request in server.requests] == [None, "bytes=100000-", "bytes=170000-"]
    assert sum(request.sent for request in server.requests) == len(CONTENT)


def test_resume_without_a_checksum_relies_on_the_etag(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT, cuts=[100_000])
    assert download(link(server, digests={}), tmp_path / "file", stage="x").read_bytes() == CONTENT
    assert server.requests[1].headers["If-Range"] == f'"{sha256(CONTENT)}"'


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 4_000), max_size=2), ranges=st.booleans(), checked=st.booleans())
def test_any_breaks_give_the_same_bytes(
    server: Server, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], ranges: bool, checked: bool
) -> None:
    content = CONTENT[:5_000]
    server.pages["/file"] = Page(content, cuts=list(cuts), ranges=ranges)
    wanted = link(server, content=content, **({} if checked else {"digests": {}}))
    assert download(wanted, tmp_path_factory.mktemp("download") / "file", stage="x").read_bytes() == content


def test_file_that_changes_between_two_tries_is_fetched_afresh(server: Server, tmp_path: Path) -> None:
    new = CONTENT[::-1]
    server.pages["/file"] = Page(CONTENT, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(DownloadError, match="continues there"):
        download(link(server, digests={}), tmp_path / "file", stage="x")
    server.pages["/file"] = Page(new)
    assert download(link(server, digests={}), tmp_path / "file", stage="x").read_bytes() == new


def test_giving_up_keeps_what_arrived(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(DownloadError, match="4 times in a row"):
        download(link(server), tmp_path / "file", stage="x")
    assert (tmp_path / "file.part").stat().st_size == 100_000
    server.requests.clear()
    assert download(link(server), tmp_path / "file", stage="x").read_bytes() == CONTENT
    assert server.requests[-1].headers["Range"] == "bytes=100000-"


def test_part_that_is_already_whole(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(DownloadError):
        download(link(server), tmp_path / "file", stage="x")
    (tmp_path / "file.part").write_bytes(CONTENT)  # killed between the last byte and the rename
    assert download(link(server), tmp_path / "file", stage="x").read_bytes() == CONTENT


def test_damaged_part_costs_one_fresh_start(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(DownloadError):
        download(link(server), tmp_path / "file", stage="x")
    (tmp_path / "file.part").write_bytes(b"\0" * 100_000)
    assert download(link(server), tmp_path / "file", stage="x").read_bytes() == CONTENT


def test_wrong_content_is_fetched_twice_and_refused(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT[::-1])
    with pytest.raises(ChecksumError, match=f"instead of {sha256(CONTENT)}"):
        download(link(server), tmp_path / "file", stage="x")
    assert len(server.requests) == 2
    assert list(tmp_path.glob("file*")) == []


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_wrong_size_is_refused(server: Server, tmp_path: Path, size: int) -> None:
    server.pages["/file"] = Page(CONTENT)
    with pytest.raises(ChecksumError):
        download(link(server, digests={}, size=size), tmp_path / "file", stage="x")


def test_absent_file_is_asked_for_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="answers 404"):
        download(link(server), tmp_path / "file", stage="x")
    assert len(server.requests) == 1


def test_overloaded_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT, statuses=[503, 429])
    assert download(link(server), tmp_path / "file", stage="x").read_bytes() == CONTENT


def test_unreachable_server_is_given_up_at_once(closed_port: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(DownloadError, match="cannot be reached"):
        download(Link(f"{closed_port}/file"), tmp_path / "file", stage="x")
    assert time.monotonic() - start < 2


def test_disk_errors_are_not_taken_for_network_errors(server: Server, tmp_path: Path) -> None:
    server.pages["/file"] = Page(CONTENT)
    (tmp_path / "file.part").mkdir()
    with pytest.raises(DownloadError, match=r"cannot be written.*NEXUS_CACHE"):
        download(link(server), tmp_path / "file", stage="x")
    assert len(server.requests) <= 1
    assert _is_of_the_disk(OSError(errno.ENOSPC, "No space left on device"))
    assert not _is_of_the_disk(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))


def test_waiting_has_an_end_and_errors_come_through() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="no answer"):
        within(0.1, lambda: time.sleep(3))
    assert time.monotonic() - start < 2
    assert within(5, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(5, lambda: {}["absent"])


def test_local_file_is_checked_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(CONTENT)
    url = (tmp_path / "a file").as_uri()
    assert download(Link(url, {"sha256": sha256(CONTENT)}), tmp_path / "copy", stage="x") == tmp_path / "a file"
    with pytest.raises(ChecksumError):
        download(Link(url, {"sha256": sha256(b"")}), tmp_path / "copy", stage="x")
    with pytest.raises(DownloadError, match="does not exist"):
        download(Link(url + "x"), tmp_path / "copy", stage="x")


# -- credentials -------------------------------------------------------------------------------------------------------


def test_credentials_in_an_address_are_sent_and_never_shown(server: Server) -> None:
    server.pages["/file"] = Page(b"x", authorization="Basic dXNlcjpw4A==")
    server.pages["/file"].authorization = "Basic dXNlcjpwQHNz"  # user:p@ss
    with_credentials = server.url.replace("//", "//user:p%40ss@") + "/file"
    with open_url(with_credentials, Access()).body as body:
        assert body.read() == b"x"
    with pytest.raises(DownloadError) as caught:
        open_url(with_credentials + "x", Access())
    assert "ss@" not in str(caught.value)
    assert without_credentials(with_credentials) == server.url + "/file"


def test_credentials_do_not_follow_a_redirect_to_another_server(server: Server, other_server: Server) -> None:
    access = Access(authorization={server.url: "Bearer secret"})
    server.pages["/file"] = Page(redirect=other_server.url + "/file")
    server.pages["/moved"] = Page(redirect=server.url + "/plain")
    server.pages["/plain"] = Page(b"y", authorization="Bearer secret")
    other_server.pages["/file"] = Page(b"x")
    server.pages["/twice"] = Page(redirect=server.url + "/file")
    for path in ("/file", "/moved", "/twice"):
        open_url(server.url + path, access).body.close()
    assert {request.headers["Authorization"] for request in server.requests} == {"Bearer secret"}
    assert [request.headers["Authorization"] for request in other_server.requests] == [None, None]


def test_prefix_of_an_address_is_not_a_prefix_of_a_name() -> None:
    access = Access(authorization={"https://corp.test": "short", "https://corp.test/npm/": "long"})
    assert access.header("https://corp.test/npm/x") == "long"
    assert access.header("https://corp.test/npmx") == "short"
    assert access.header("https://corp.test.evil/x") is None


def test_redirect_to_an_unencrypted_address_is_refused() -> None:
    request = urllib.request.Request("https://corp.test/a")
    with pytest.raises(urllib.error.HTTPError, match="unencrypted"):
        _Redirect(Access()).redirect_request(request, None, 302, "Found", {}, "http://corp.test/a")
