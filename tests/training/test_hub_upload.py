"""Sending a run to a small hub on 127.0.0.1, and what is said where that fails."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nexus.errors import ConfigError, TrainingError
from nexus.training.hub_upload import open_repository, push_run


class SmallHub:
    """Speaks what making a repository and one commit of small files need."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, Any]] = []
        self.files: dict[str, bytes] = {}
        self.status: dict[str, int] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.requests.append((self.path, self.headers["Authorization"], body))
                status = hub.status.get(self.path, 200)
                content = json.dumps(hub.answer(self.path, body) if status == 200 else {"error": "no"}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, path: str, body: bytes) -> Any:
        if path == "/api/repos/create":
            return {"url": f"{self.url}/me/flowers", "name": "me/flowers"}
        if path.endswith("/preupload/main"):
            asked = json.loads(body)["files"]
            return {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]}
        if "/commit/main" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return {"commitUrl": f"{self.url}/me/flowers/commit/1", "commitOid": "1" * 40, "pullRequestUrl": None}
        return {"warnings": [], "errors": []}  # of the card's front matter


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    hub = SmallHub()
    thread = threading.Thread(target=hub.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "NEXUS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield hub
    hub.http.shutdown()
    hub.http.server_close()
    thread.join()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "flowers"
    (folder / "checkpoints" / "00000001").mkdir(parents=True)
    sent = ("config.json", "model.safetensors", "README.md", "curves.png")
    for name in (*sent, "train.json", "metrics.jsonl", "checkpoints/00000001/model.safetensors"):
        (folder / name).write_bytes(f"the content of {name}".encode())
    return folder


def test_what_loads_and_what_explains_is_sent(hub: SmallHub, run: Path) -> None:
    assert push_run(run, "me/flowers") == f"{hub.url}/me/flowers"
    assert hub.files == {
        name: f"the content of {name}".encode()
        for name in ("config.json", "model.safetensors", "README.md", "curves.png")
    }
    path, authorization, body = hub.requests[0]
    assert (path, authorization) == ("/api/repos/create", "Bearer hf_secret")
    assert b"private" in body
    push_run(run, "me/flowers", private=False)
    assert b"private" not in next(body for path, _, body in hub.requests[1:] if path == "/api/repos/create")


def test_a_token_that_may_not_write_is_told_before_anything_is_sent(hub: SmallHub, run: Path) -> None:
    hub.status = {"/api/models/me/flowers/commit/main": 403}
    with pytest.raises(TrainingError, match=r"me/flowers .*403.*role write"):
        push_run(run, "me/flowers")
    hub.status = {"/api/repos/create": 401}
    with pytest.raises(TrainingError, match=r"401.*not valid"):
        open_repository("me/flowers")
    assert hub.files == {}


def test_without_a_token_nothing_is_asked(hub: SmallHub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(TrainingError, match="without a token: set HF_TOKEN"):
        push_run(run, "me/flowers")
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    with pytest.raises(TrainingError, match="NEXUS_OFFLINE"):
        push_run(run, "me/flowers")
    assert hub.requests == []


def test_a_hub_out_of_reach_is_said(hub: SmallHub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TrainingError, match=r"nothing was sent to me/flowers .*send it again"):
        push_run(run, "me/flowers")


def test_names_that_cannot_be(hub: SmallHub, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no name of a repository"):
        push_run(run, "a/b/c")
    with pytest.raises(ConfigError, match="no trained model"):
        push_run(tmp_path, "me/flowers")
