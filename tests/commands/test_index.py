from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nexus
from nexus.errors import CollectionError, ImageError, InputError
from nexus.retrieval import Collection

Command = Callable[..., tuple[int, str, str]]
Crowd = Callable[[int], Path]
Start = Callable[..., "subprocess.Popen[str]"]


def names(collection: str) -> set[str]:
    return {os.path.basename(path) for path in Collection.open(collection).paths}


def test_a_second_run_does_only_what_changed(folder: Path, collection: str, model: str) -> None:
    (folder / "giraffe.jpg").unlink()
    shutil.copy(folder / "alpaca.jpg", folder / "new.jpg")
    with Image.open(folder / "gibbon.jpg") as image:
        image.rotate(90).save(folder / "gibbon.jpg")
    os.utime(folder / "kingfisher.jpg")  # touched, but the same
    done = nexus.index(str(folder), out=collection, model=model)
    assert (done.added, done.updated, done.removed, done.unchanged, done.total) == (1, 2, 1, 4, 7)
    assert "new.jpg" in names(collection)
    assert "giraffe.jpg" not in names(collection)
    again = nexus.index(str(folder), out=collection, model=model)
    assert (again.added, again.updated, again.removed, again.unchanged) == (0, 0, 0, 7)


def test_the_vectors_are_the_predictors(folder: Path, collection: str, model: str) -> None:
    opened = Collection.open(collection)
    embedded = nexus.load(model).embed(opened.paths)
    assert np.allclose(opened.vectors, embedded.vectors, atol=1e-5)


def test_what_cannot_be_read_is_named_and_left_out(folder: Path, model: str, tmp_path: Path) -> None:
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.jpg").touch()
    done = nexus.index(str(folder), out=str(tmp_path / "x.nexus"), model=model)
    assert done.total == 7
    assert {os.path.basename(skipped.source) for skipped in done.skipped} == {"text.jpg", "empty.jpg"}
    assert all(skipped.reason for skipped in done.skipped)
    with pytest.raises(ImageError):
        nexus.index(str(folder), out=str(tmp_path / "y.nexus"), model=model, strict=True)


def test_a_picture_that_became_unreadable_leaves_the_index(folder: Path, collection: str, model: str) -> None:
    (folder / "giraffe.jpg").write_bytes(b"broken")
    done = nexus.index(str(folder), out=collection, model=model)
    assert (done.removed, done.total) == (1, 6)


def test_a_part_of_the_folder_leaves_the_rest_alone(folder: Path, collection: str, model: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(folder / "alpaca.jpg", elsewhere / "other.jpg")
    done = nexus.index(str(elsewhere), out=collection, model=model)
    assert (done.added, done.removed, done.total) == (1, 0, 8)
    (elsewhere / "other.jpg").unlink()
    (elsewhere / "third.jpg").write_bytes((folder / "giraffe.jpg").read_bytes())
    done = nexus.index(str(elsewhere), out=collection, model=model)
    assert (done.added, done.removed, done.total) == (1, 1, 8)


def test_another_model_or_preprocessing_is_refused(folder: Path, collection: str, model: str) -> None:
    with pytest.raises(CollectionError, match="preprocess digest"):
        nexus.index(str(folder), out=collection, model=model, decode="exact")
    with pytest.raises(CollectionError, match="layer"):
        nexus.index(str(folder), out=collection, model=model, layer=0)


def test_fewer_dimensions(folder: Path, model: str, tmp_path: Path) -> None:
    done = nexus.index(str(folder), out=str(tmp_path / "x.nexus"), model=model, dims=4)
    assert done.dims == 4
    assert done.explained is not None
    assert 0.3 < done.explained <= 1
    assert Collection.open(tmp_path / "x.nexus").vectors.shape == (7, 4)


def test_a_moved_folder_is_found_again(folder: Path, collection: str, model: str, tmp_path: Path) -> None:
    moved = folder.rename(tmp_path / "moved")
    query = str(moved / "gibbon.jpg")
    hits = nexus.search(collection, query, model=model, root=str(moved)).results[0].hits
    assert hits[0].path == query
    done = nexus.index(str(moved), out=collection, model=model, root=str(moved))
    assert (done.added, done.unchanged, done.total) == (0, 7, 7)


def test_nothing_to_index(tmp_path: Path, model: str) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no picture could be read"):
        nexus.index(str(tmp_path / "none"), out=str(tmp_path / "x.nexus"), model=model)
    with pytest.raises(InputError, match="an index keeps paths"):
        nexus.index([np.zeros((8, 8, 3), np.uint8)], out=str(tmp_path / "x.nexus"), model=model)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_names_that_are_no_text(folder: Path, model: str, tmp_path: Path, command: Command) -> None:
    source = folder / "alpaca.jpg"
    for raw in (b"caf\xe9.jpg", b"two\nlines.jpg", b"\xff\xfe.JPG"):
        shutil.copy(source, os.path.join(os.fsencode(folder), raw))
    out = tmp_path / "x.nexus"
    assert command("index", folder, "--out", out, "--model", model)[0] == 0
    code, said, _ = command("search", out, source, "-k", "4", "--model", model, "--json")
    assert code == 0
    paths = [hit["path"] for hit in json.loads(said)["results"][0]["hits"]]
    assert sum(isinstance(path, dict) for path in paths) == 2
    code, said, _ = command("search", out, source, "-k", "4", "--model", model)
    assert "two\\nlines.jpg" in said
    assert len(said.splitlines()) == 5


STEPWISE = """
import sys
import nexus
from nexus.retrieval.writer import Writer

def step(event):
    print(event.done, flush=True)
    sys.stdin.readline()

if __name__ == "__main__":
    Writer.__init__.__kwdefaults__["commit_every"] = 8
    folder, out, model = sys.argv[1:]
    nexus.index(folder, out=out, model=model, engine="eager", batch_size=4, progress=step)
"""
"""Indexes and commits often; goes on with the next batch only when it is told to, so that no clock decides anything."""


def test_killed_at_any_moment_it_goes_on(crowd: Crowd, model: str, tmp_path: Path) -> None:
    folder, out = crowd(40), tmp_path / "x.nexus"
    command = [sys.executable, "-c", STEPWISE, str(folder), str(out), model]
    committed = [0]
    for _ in range(3):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            while int(process.stdout.readline()) < 12:
                process.stdin.write("go on\n")
                process.stdin.flush()
            process.stdin.write("go on\n")
            process.stdin.flush()
            process.kill()  # somewhere in what follows
        assert process.returncode == -signal.SIGKILL
        committed.append(Collection.open(out).count)
    assert committed == sorted(set(committed)), "each run keeps what those before it committed, and adds to it"
    assert committed[-1] < 47
    done = nexus.index(str(folder), out=str(out), model=model, engine="eager")
    assert (done.added, done.unchanged, done.total) == (47 - committed[-1], committed[-1], 47)
    opened = Collection.open(out)
    assert len(set(opened.paths)) == opened.count == 47
    assert np.allclose(opened.vectors, nexus.load(model, engine="eager").embed(opened.paths).vectors, atol=1e-5)


def test_ctrl_c_leaves_everything_usable(crowd: Crowd, start: Start, model: str, tmp_path: Path) -> None:
    folder, out = crowd(300), tmp_path / "x.nexus"
    process = start("index", folder, "--out", out, "--model", model, "--batch-size", "2")
    while not (out / "meta.sqlite").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, f"it was done before it could be interrupted, or failed: {error}"
    assert "interrupted" in error
    assert "Traceback" not in error
    assert nexus.index(str(folder), out=str(out), model=model).total == 307


def test_making_it_may_have_been_interrupted(folder: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "x.nexus"
    out.mkdir()
    (out / "meta.sqlite").touch()  # what a kill before the first transaction leaves
    assert nexus.index(str(folder), out=str(out), model=model).total == 7


def test_a_pattern_adds_and_forgets_only_what_vanished(folder: Path, model: str, tmp_path: Path) -> None:
    out = str(tmp_path / "x.nexus")
    assert nexus.index(str(folder / "g*.jpg"), out=out, model=model).total == 3
    assert nexus.index(str(folder / "a*.jpg"), out=out, model=model).total == 4
    (folder / "giraffe.jpg").unlink()
    done = nexus.index(str(folder / "a*.jpg"), out=out, model=model)
    assert (done.removed, done.total) == (1, 3)


def test_a_disk_that_is_not_there_keeps_its_pictures(folder: Path, collection: str, model: str, tmp_path: Path) -> None:
    away = folder.rename(tmp_path / "unmounted")
    with pytest.raises(InputError, match="no picture could be read"):
        nexus.index(str(folder), out=str(tmp_path / "none.nexus"), model=model)
    done = nexus.index(str(folder), out=collection, model=model)
    assert (done.removed, done.total) == (0, 7)
    away.rename(folder)
