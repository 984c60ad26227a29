"""Servers on 127.0.0.1 and a home folder without settings, for the hub's tests."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import Server, write_pip_conf


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def other_server() -> Iterator[Server]:
    """A second origin."""
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def closed_port() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus.hub.download.BACKOFF_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A home folder without any configuration, and no setting of this machine's tools in the environment.

    Tests of the real index keep the machine's settings.
    """
    if request.node.get_closest_marker("registry"):
        return Path.home()
    for name in list(os.environ):
        if name.upper().startswith(("PIP_", "UV_", "NPM_CONFIG_", "HF_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    (home / ".config" / "pip").mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(home / "no-such-folder"))
    monkeypatch.setenv("NPM_CONFIG_GLOBALCONFIG", str(home / "no-such-file"))
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "huggingface"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nothing answers
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    project = home / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[tool.uv]\nfind-links = []\n")  # the search for settings ends here
    (project / "package.json").write_text("{}")
    monkeypatch.chdir(project)
    write_pip_conf(home, "")
    return home


Collect = tuple[list[Any], Callable[[Any], None]]


@pytest.fixture
def events() -> Collect:
    """A list, and a progress callable that appends to it."""
    collected: list[Any] = []
    return collected, collected.append
