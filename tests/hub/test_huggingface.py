"""The Hugging Face hub: files and whole repositories from a tiny hub, and a quick answer where there is none."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hub_server import Page, Server, sha256
from safetensors.torch import save

from nexus import hub
from nexus.errors import ChecksumError, DownloadError, OfflineError, UnsafeFileError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = save({"w": torch.arange(30_000.0)})
SOURCE = {"kind": "huggingface", "repository": "owner/tiny", "file": "model.safetensors", "revision": COMMIT}


def serve(server: Server, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Serve files the way the hub does: resolve addresses with its headers, and the description of the repository."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    for name, content in files.items():
        for revision in ("main", COMMIT):
            headers = {"X-Repo-Commit": COMMIT}
            server.pages[f"/owner/tiny/resolve/{revision}/{name}"] = Page(content, headers=headers)
    about = {"id": "owner/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
    described = json.dumps({**about, "cardData": {"license": "mit"}}).encode()
    for path in ("/api/models/owner/tiny", f"/api/models/owner/tiny/revision/{COMMIT}"):
        server.pages[path] = Page(described, "application/json")


def test_file_with_progress_commit_and_licence(server: Server, monkeypatch: pytest.MonkeyPatch, events) -> None:
    collected, progress = events
    serve(server, monkeypatch, {"model.safetensors": WEIGHTS})
    path = hub.fetch([{**SOURCE, "revision": None, "license": "MIT"}], name="tiny", progress=progress)
    assert path.read_bytes() == WEIGHTS
    (entry,) = hub.describe_cache()
    assert (entry.metadata["commit"], entry.license) == (COMMIT, "mit")
    assert entry.metadata["etag"] == hashlib.sha256(WEIGHTS).hexdigest()
    counted = [event for event in collected if event.unit == "bytes"]
    assert (counted[-1].done, counted[-1].total) == (len(WEIGHTS), len(WEIGHTS))
    assert collected[-1].note == "tiny: licence MIT (upstream); the source states mit"


def test_pickled_repository_becomes_safetensors(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.save({"w": torch.ones(3)}, tmp_path / "m.bin")
    serve(server, monkeypatch, {"pytorch_model.bin": (tmp_path / "m.bin").read_bytes()})
    path = hub.fetch([{**SOURCE, "file": "pytorch_model.bin"}], name="tiny")
    assert path.suffix == ".safetensors"
    assert hub.read_tensors(path)["w"].tolist() == [1, 1, 1]


def test_wrong_sha256_is_fetched_twice(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, monkeypatch, {"model.safetensors": WEIGHTS})
    with pytest.raises(ChecksumError, match=f"sha256 {sha256(WEIGHTS)} instead of 0000"):
        hub.fetch([{**SOURCE, "sha256": "0" * 64}], name="tiny")
    assert len(server.asked(f"/owner/tiny/resolve/{COMMIT}/model.safetensors")) == 2
    assert hub.describe_cache() == []


def test_the_hub_s_own_sha256_counts_where_none_is_pinned(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The etag of a large file is its sha256; the small ones' is another hash, and promises nothing here."""
    serve(server, monkeypatch, {"model.safetensors": WEIGHTS})
    page = server.pages[f"/owner/tiny/resolve/{COMMIT}/model.safetensors"]
    page.etag = "0" * 64
    with pytest.raises(ChecksumError, match=f"sha256 {sha256(WEIGHTS)} instead of 0000"):
        hub.fetch([SOURCE], name="tiny")
    assert len(server.asked(f"/owner/tiny/resolve/{COMMIT}/model.safetensors")) == 2
    assert hub.describe_cache() == []
    page.etag = "0" * 40
    assert hub.fetch([SOURCE], name="tiny").read_bytes() == WEIGHTS


def test_absent_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, monkeypatch, {"config.json": b"{}"})
    with pytest.raises(DownloadError, match="404"):
        hub.fetch([SOURCE], name="tiny")


def test_file_that_another_program_has_fetched(server: Server, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    serve(server, monkeypatch, {"config.json": b"{}", "model.safetensors": WEIGHTS})
    hub.fetch_repository("owner/tiny", revision=COMMIT)  # fills the client's own cache
    server.requests.clear()
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    assert hub.fetch([{**SOURCE, "sha256": sha256(WEIGHTS)}], name="tiny").read_bytes() == WEIGHTS
    with pytest.raises(OfflineError):
        hub.fetch([{**SOURCE, "sha256": "0" * 64}], name="tiny")
    with pytest.raises(OfflineError):  # not a checkpoint
        hub.fetch([{**SOURCE, "file": "config.json"}], name="tiny")
    assert server.requests == []


# -- repositories ------------------------------------------------------------------------------------------------------

CONFIG = {"config.json": b'{"model_type": "tiny"}', "preprocessor_config.json": b"{}", "processor_config.json": b"{}"}


def test_repository_is_fetched_without_its_code(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"modeling_tiny.py": b"raise SystemExit", "pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"x"}
    serve(server, monkeypatch, {**CONFIG, "model.safetensors": WEIGHTS, **extra})
    folder = hub.fetch_repository("owner/tiny")
    assert {file.name for file in folder.iterdir()} == {*CONFIG, "model.safetensors"}
    assert hub.read_tensors(folder)["w"].numel() == 30_000


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"), {"tokenizer.json"}),
        (("vocab.json", "merges.txt", "tokenizer_config.json"), {"vocab.json", "merges.txt"}),
    ],
)
def test_repository_with_a_tokenizer(
    server: Server, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], taken: set[str]
) -> None:
    serve(server, monkeypatch, {**CONFIG, "model.safetensors": WEIGHTS, **dict.fromkeys(files, b"{}")})
    found = {file.name for file in hub.fetch_repository("owner/tiny").iterdir()}
    assert found == {*CONFIG, "model.safetensors", "tokenizer_config.json", *taken}


def test_small_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, monkeypatch, {"tokenizer.json": b"{}"})
    source = {**SOURCE, "file": "tokenizer.json"}
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    with pytest.raises(OfflineError, match=r"tokenizer\.json at 0123"):
        hub.fetch_file(source)
    monkeypatch.delenv("NEXUS_OFFLINE")
    assert hub.fetch_file(source).read_bytes() == b"{}"
    server.requests.clear()
    assert hub.fetch_file(source).name == "tokenizer.json"
    assert server.requests == []
    with pytest.raises(DownloadError, match=r"owner/tiny/spiece.model.*404"):
        hub.fetch_file({**SOURCE, "file": "spiece.model"})


def test_sharded_repository(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = {f"model-0000{i}-of-00002.safetensors": save({f"w{i}": torch.full((2,), float(i))}) for i in (1, 2)}
    index = {"weight_map": {f"w{i}": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}}
    serve(server, monkeypatch, {**CONFIG, **shards, "model.safetensors.index.json": json.dumps(index).encode()})
    assert hub.read_tensors(hub.fetch_repository("owner/tiny")).keys() == {"w1", "w2"}


def test_sharded_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant names the index; the shards beside it become one file."""
    shards = {f"model-0000{n}-of-00002.safetensors": save({f"w{n}": torch.full((2,), float(n))}) for n in (1, 2)}
    named = {"weight_map": {f"w{n}": name for n, name in enumerate(shards, start=1)}}
    serve(server, monkeypatch, {"model.safetensors.index.json": json.dumps(named).encode(), **shards})
    path = hub.fetch([{**SOURCE, "file": "model.safetensors.index.json"}], name="tiny")
    assert {key: tensor.tolist() for key, tensor in hub.read_tensors(path).items()} == {"w1": [1, 1], "w2": [2, 2]}


def test_a_shard_elsewhere_is_not_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"weight_map": {"w": "../../other/model.safetensors"}}
    serve(server, monkeypatch, {"model.safetensors.index.json": json.dumps(named).encode()})
    with pytest.raises(UnsafeFileError, match="outside its own folder"):
        hub.fetch([{**SOURCE, "file": "model.safetensors.index.json"}], name="tiny")


def test_repository_offline(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, monkeypatch, {**CONFIG, "model.safetensors": WEIGHTS})
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    with pytest.raises(OfflineError, match="owner/tiny is not in the Hugging Face cache"):
        hub.fetch_repository("owner/tiny")
    monkeypatch.delenv("NEXUS_OFFLINE")
    folder = hub.fetch_repository("owner/tiny", revision=COMMIT)
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    server.requests.clear()
    assert hub.fetch_repository("owner/tiny", revision=COMMIT) == folder
    assert server.requests == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.safetensors": WEIGHTS}, "no config.json"),
        ({**CONFIG, "tf_model.h5": b"x"}, "neither model.safetensors"),
    ],
)
def test_repository_that_is_no_model(
    server: Server, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], message: str
) -> None:
    serve(server, monkeypatch, files)
    with pytest.raises(DownloadError, match=message):
        hub.fetch_repository("owner/tiny")


# -- out of reach ------------------------------------------------------------------------------------------------------


def test_closed_port_fails_within_seconds(monkeypatch: pytest.MonkeyPatch, closed_port: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", closed_port)
    for call in (lambda: hub.fetch([SOURCE], name="tiny"), lambda: hub.fetch_repository("owner/tiny")):
        start = time.monotonic()
        with pytest.raises(DownloadError, match=r"(?is)owner/tiny.*ConnectError.*--mirror.*path") as caught:
            call()
        assert str(caught.value).count("--mirror") == 1
        assert time.monotonic() - start < 5


def test_silent_hub_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # connections are accepted by the kernel, and nobody answers
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(DownloadError, match="--mirror"):
            hub.fetch([SOURCE], name="tiny")
        assert time.monotonic() - start < 5


def test_import_is_light_and_says_nothing_to_anyone() -> None:
    """The names of the hub come without torch, numpy or a network client."""
    code = (
        "import sys; from nexus import hub; hub.fetch, hub.read_tensors, hub.describe_cache, hub.fetch_repository; "
        "print([m for m in ('torch', 'numpy', 'huggingface_hub', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_telemetry_is_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(server, monkeypatch, {"model.safetensors": WEIGHTS})
    hub.fetch([SOURCE], name="tiny")
    assert all(request.path.startswith(("/owner/tiny/", "/api/models/owner/tiny")) for request in server.requests)
