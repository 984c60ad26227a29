from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nexus.datasets import fetch_image, find_images
from nexus.errors import ImageError
from nexus.results import Skipped
from nexus.transforms.decode import Decoder
from nexus.transforms.image import EncodedImage
from nexus.transforms.preprocess import PreprocessSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ["b.JPG", "a.png", "notes.txt", ".hidden.jpg", "._a.png", "c/z.webp", "c/y.gif", "c/d/x.tiff"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for name in [".git/e.jpg", "photos.nexus/sheet.png", "f.jpg/g.heic"]:
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(b"x")
    return tmp_path


def names(found: Iterator[object], folder: Path) -> list[str]:
    return [str(Path(str(path)).relative_to(folder)) for path in found]


def test_a_folder_is_walked_in_order_of_names(folder: Path) -> None:
    found = names(find_images(folder), folder)
    assert found == ["a.png", "b.JPG", "c/d/x.tiff", "c/y.gif", "c/z.webp", "f.jpg/g.heic"]
    assert names(find_images(str(folder)), folder) == found
    assert names(find_images(folder, recursive=False), folder) == ["a.png", "b.JPG"]


def test_files_are_given_whatever_their_name(folder: Path) -> None:
    given = [folder / "notes.txt", folder / "absent.jpg", folder / "c" / ".." / "a.png"]
    assert list(find_images(given)) == given
    assert list(find_images(str(given[0]))) == given[:1]


def test_patterns(folder: Path) -> None:
    assert names(find_images(f"{folder}/*.[jJ][pP][gG]"), folder) == ["b.JPG", "f.jpg/g.heic"]
    assert names(find_images(f"{folder}/c/*"), folder) == ["c/d/x.tiff", "c/y.gif", "c/z.webp"]
    everything = names(find_images(f"{folder}/**"), folder)
    assert everything == [
        "a.png",
        "b.JPG",
        "c/d/x.tiff",
        "c/y.gif",
        "c/z.webp",
        "f.jpg/g.heic",
        "photos.nexus/sheet.png",
    ]
    (folder / "[a].jpg").write_bytes(b"x")
    assert names(find_images(f"{folder}/[a].jpg"), folder) == ["[a].jpg"]
    skipped: list[Skipped] = []
    assert list(find_images(f"{folder}/*.bmp", on_skip=skipped.append)) == []
    assert [skip.reason for skip in skipped] == ["matches no file"]


def test_link_loops_end_and_each_folder_is_visited_once(folder: Path) -> None:
    (folder / "c/d/up").symlink_to(folder)
    (folder / "c/self").symlink_to(folder / "c/self")
    (folder / "c/dead.jpg").symlink_to(folder / "gone.jpg")
    (folder / "again").symlink_to(folder / "c")
    found = names(find_images(folder), folder)
    assert found == [
        "a.png",
        "again/d/x.tiff",
        "again/dead.jpg",
        "again/y.gif",
        "again/z.webp",
        "b.JPG",
        "f.jpg/g.heic",
    ]


def test_folders_nested_deeper_than_python_recurses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 100
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
    Path("a.jpg").write_bytes(b"x")
    found = len(list(find_images(tmp_path)))
    Path("a.jpg").unlink()
    for _ in range(depth):  # pytest's own clean-up recurses
        os.chdir("..")
        os.rmdir("d")
    assert found == 1


def test_strange_names(tmp_path: Path) -> None:
    raw = [b"line\nbreak.jpg", b"caf\xe9.jpg", b"-.jpg", b" .jpg", "日本.jpg".encode()]
    for name in raw:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    found = list(find_images(tmp_path))
    assert [os.fsencode(path.name) for path in found if isinstance(path, Path)] == sorted(raw)
    with Decoder(PreprocessSpec(), workers=1) as decoder:
        results = list(decoder.stream(find_images(tmp_path)))
    assert [result.error.reason for result in results if result.error] == ["is text, not a picture"] * len(raw)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_forbidden_folders_and_files_are_named(folder: Path) -> None:
    """Run as nobody, since root may read everything."""
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    (folder / "b.JPG").chmod(0)
    (folder / "c").chmod(0)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    code = """
        import os, sys
        from nexus.datasets import find_images
        from nexus.errors import ImageError
        from nexus.transforms import open_image
        # All modules are loaded: they may lie where nobody may look.
        import PIL.PngImagePlugin, PIL.JpegImagePlugin
        os.chdir(sys.argv[1])
        if os.geteuid() == 0:
            os.setgroups([]), os.setegid(65534), os.seteuid(65534)
        for path in find_images(".", on_skip=lambda skip: print(skip.source, skip.reason)):
            try:
                print(path, open_image(path).size)
            except ImageError as error:
                print(path, error.reason)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)], capture_output=True, text=True, check=False
    )
    (folder / "c").chmod(0o700)
    assert done.stdout.splitlines() == [
        "a.png (4, 4)",
        "b.JPG may not be read (permission denied)",
        f"{os.path.join('.', 'c')} cannot be listed (Permission denied)",
        "f.jpg/g.heic is text, not a picture",
    ], done.stderr


def test_an_unreadable_thing_without_a_callback_raises(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="matches no file"):
        list(find_images(f"{tmp_path}/*.jpg"))


def test_a_folder_that_vanishes_during_the_walk(folder: Path) -> None:
    skipped: list[Skipped] = []
    stream = find_images(folder, on_skip=skipped.append)
    assert next(stream) == folder / "a.png"
    for path in sorted((folder / "c").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "c").rmdir()
    assert names(stream, folder) == ["b.JPG", "f.jpg/g.heic"]
    assert [(skip.source, skip.reason) for skip in skipped] == [
        (str(folder / "c"), "cannot be listed (No such file or directory)")
    ]


def test_pictures_in_memory_pass_through() -> None:
    array, encoded = np.zeros((2, 2, 3), np.uint8), EncodedImage(b"x", "name")
    items = [array, b"bytes", encoded, Image.new("RGB", (1, 1))]
    assert all(one is other for one, other in zip(find_images(items), items, strict=True))
    assert next(find_images(array)) is array
    assert next(find_images(b"bytes")) == b"bytes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"one.jpg\ntwo.jpg", ["one.jpg", "two.jpg"]),
        (b"one.jpg\r\n\r\ntwo *.jpg\r\n", ["one.jpg", "two *.jpg"]),
        (b"line\nbreak.jpg\0two.jpg\0", ["line\nbreak.jpg", "two.jpg"]),
        (b"caf\xe9.jpg\n-\n", ["caf\udce9.jpg", "-"]),
        (b"", []),
        (b"x" * 200_000 + b".jpg\nlast.jpg\n", ["x" * 200_000 + ".jpg", "last.jpg"]),
    ],
)
def test_a_list_on_standard_input(text: bytes, expected: list[str]) -> None:
    code = "from nexus.datasets import find_images; print([str(path) for path in find_images('-')])"
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, check=False)
    assert done.stdout.decode().strip() == repr(expected), done.stderr.decode()


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
        elif self.path.startswith("/loop"):
            self.send_response(302)
            self.send_header("Location", "/loop" + self.path)
            self.end_headers()
        elif self.path == "/to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif self.path == "/moved":
            self.send_response(301)
            self.send_header("Location", "/photo")
            self.end_headers()
        else:
            self.send_response(200)
            if self.path in ("/short", "/long"):
                self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"photo" * (1000 if self.path == "/endless" else 1))
            if self.path == "/drip":
                for _ in range(100):
                    time.sleep(0.05)
                    self.wfile.write(b".")

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("NEXUS_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_an_address_becomes_its_bytes(server: str) -> None:
    for path in ("/photo", "/moved"):
        assert list(find_images(server + path)) == [EncodedImage(b"photo", server + path)]
    secret = server.replace("http://", "http://user:secret@")
    assert fetch_image(secret + "/photo").name == server + "/photo"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "404"),
        ("/loop", "infinite loop|302"),
        ("/to-file", "not allowed"),
        ("/short", "broke off|IncompleteRead"),
        ("/drip", "within 0.5 s|too long"),
        ("/endless", "limit of 1,000"),
        ("/long", "5,000 bytes long"),
    ],
)
def test_an_address_that_misbehaves(server: str, path: str, reason: str) -> None:
    max_bytes = 1000 if path in ("/endless", "/long") else 10_000
    start = time.monotonic()
    with pytest.raises(ImageError, match=reason):
        fetch_image(server + path, max_bytes=max_bytes, seconds=0.5 if path == "/drip" else 10)
    assert time.monotonic() - start < 3


def test_an_address_that_does_not_answer_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    skipped: list[Skipped] = []
    assert list(find_images("http://127.0.0.1:9/x.jpg", on_skip=skipped.append)) == []
    assert "cannot be fetched (cannot be reached" in skipped[0].reason
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    assert list(find_images(["http://127.0.0.1:9/x.jpg"], on_skip=skipped.append)) == []
    assert "switched off" in skipped[1].reason
