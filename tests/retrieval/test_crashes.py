"""Whatever happens to the writer, its collection is what it was after a commit, none earlier than the last."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nexus.retrieval import Collection, Identity

DIMS = 8
IDENTITY = Identity(model="tiny", weights_digest="w", preprocess_digest="p", dims=DIMS)
KILLS = 15

COUNTER = b"counter"


def vector(path: bytes, version: int) -> Any:
    seed = int.from_bytes(hashlib.sha256(path + b"%d" % version).digest()[:4], "little")
    return np.random.default_rng(seed).normal(size=DIMS).astype(np.float32)


def content(path: bytes, version: int) -> str:
    return hashlib.sha256(path + b" %d" % version).hexdigest()


def operations(start: int) -> Any:
    """The endless list of what the writer does, from step `start` on: (step, path, version or None to remove)."""
    for step in range(start, 1 << 30):
        draw = random.Random(step)
        yield step, b"%d.jpg" % draw.randrange(60), (step if draw.random() < 0.6 else None)


def expected(steps: int) -> dict[bytes, int]:
    """Path -> version after so many steps."""
    state: dict[bytes, int] = {}
    for step, path, version in operations(0):
        if step == steps:
            return state
        if version is None:
            state.pop(path, None)
        else:
            state[path] = version
    raise AssertionError


def write_for_ever(folder: str) -> None:
    """What the killed process runs. Each step also counts itself in the collection, and each commit is told."""
    with Collection.writer(folder, IDENTITY, os.path.dirname(folder), commit_every=10**9, commit_seconds=1e9) as writer:
        known = writer.plan([(COUNTER, -1, -1)])
        start = 0
        if known.changed:
            start = next(n for n in range(1 << 30) if writer.content(COUNTER) == content(COUNTER, n))
        print("ready", flush=True)
        for step, path, version in operations(start):
            if version is None:
                writer.remove(path)
            else:
                writer.put(path, content(path, version), version, (version, version), vector(path, version))
            writer.put(COUNTER, content(COUNTER, step + 1), None, (0, 0), vector(COUNTER, step + 1))
            if step % 3 == 0:
                writer.commit()
                print(step + 1, flush=True)
            if step % 20 == 0:
                writer.compact()


def steps_in(collection: Collection, at_least: int) -> int:
    stored = collection.sha256[list(collection.names).index(COUNTER)]
    return next(n for n in range(at_least, at_least + 10_000) if content(COUNTER, n) == stored)


def check(collection: Collection, state: dict[bytes, int], extra: dict[bytes, int]) -> None:
    """The collection holds exactly these versions of these paths, each with its own vector."""
    assert len(set(collection.names)) == collection.count
    versions = {**state, **extra}
    assert set(collection.names) == set(versions)
    for name, digest, stored in zip(collection.names, collection.sha256, collection.vectors, strict=True):
        assert digest == content(name, versions[name])
        np.testing.assert_array_equal(stored, vector(name, versions[name]))


def test_kill_9_in_a_loop_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder, told, generations = tmp_path / "photos.nexus", 0, set[int]()
    command = [sys.executable, "-c", f"import test_crashes; test_crashes.write_for_ever({str(folder)!r})"]
    for attempt in range(KILLS):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent
        )
        assert process.stdout is not None
        assert process.stderr is not None
        if attempt:  # the first one is killed while it makes the collection, or before
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            draw = random.Random(attempt)
            for _ in range(draw.randrange(15)):  # by progress, so that a busy machine tests the same
                told = max(told, int(process.stdout.readline()))
            time.sleep(draw.random() * 0.01)  # somewhere in what follows
        else:
            while not folder.exists():
                time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        output, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        told = max([told, *(int(line) for line in output.split() if line.isdigit())])
        if told:
            collection = Collection.open(folder)
            generations.add(collection.generation)
            steps = steps_in(collection, told)
            check(collection, expected(steps), {COUNTER: steps})
            told = steps
    assert told > 100
    assert len(generations) > 3, "some were killed after, and some during, a compaction"
    with Collection.writer(folder, IDENTITY):
        files = {file.name for file in folder.iterdir()}
    assert len([name for name in files if name.startswith("vectors")]) == 1
    assert not [name for name in files if name.endswith(".aside")]


class AgainstADict(RuleBasedStateMachine):
    """Any order of calls, crashes and reopenings leaves what a dict would hold."""

    paths = st.sampled_from([b"a", b"b/c", b"\xff", b"d\n", b"e"])

    @initialize()
    def make(self) -> None:
        import tempfile

        self.home = tempfile.TemporaryDirectory()
        self.folder = Path(self.home.name) / "photos.nexus"
        self.writer = self.open()
        self.committed: dict[bytes, tuple[int, int]] = {}  # path -> (version, which is its mtime too; size)
        self.pending: dict[bytes, tuple[int, int]] = {}
        self.readers: list[tuple[Collection, dict[bytes, int]]] = []
        self.version = 0

    def open(self) -> Any:
        return Collection.writer(self.folder, IDENTITY, self.home.name, commit_every=10**9, commit_seconds=1e9)

    @rule(path=paths)
    def put(self, path: bytes) -> None:
        self.version += 1
        stat = (self.version, self.version)
        self.writer.put(path, content(path, self.version), self.version, stat, vector(path, self.version))
        self.pending[path] = stat

    @rule(path=paths)
    def touch_what_is_committed(self, path: bytes) -> None:
        if path in self.pending and self.pending[path] == self.committed.get(path):
            self.version += 1
            self.writer.touch(path, (self.version, self.pending[path][0]))
            self.pending[path] = (self.pending[path][0], self.version)

    @rule(path=paths)
    def remove(self, path: bytes) -> None:
        self.writer.remove(path)
        self.pending.pop(path, None)

    @rule()
    def commit(self) -> None:
        self.writer.commit()
        self.committed = dict(self.pending)

    @rule()
    def compact(self) -> None:
        self.writer.compact()
        self.committed = dict(self.pending)

    @rule(orphans=st.binary(max_size=100), aside=st.booleans())
    def crash(self, orphans: bytes, aside: bool) -> None:
        state = self.writer.state
        self.writer.close()
        with (self.folder / f"vectors-{state.generation}.f32").open("ab") as file:
            file.write(orphans)
        if aside:
            (self.folder / f"vectors-{state.generation + 1}.f32").write_bytes(orphans)
        self.writer, self.pending = self.open(), dict(self.committed)

    @rule()
    def end_and_begin_again(self) -> None:
        with self.writer:
            pass
        self.committed = dict(self.pending)
        self.writer = self.open()

    @rule()
    @precondition(lambda self: len(self.readers) < 4)
    def keep_a_reader(self) -> None:
        versions = {path: version for path, (version, _) in self.committed.items()}
        self.readers.append((Collection.open(self.folder), versions))

    @invariant()
    def the_folder_holds_what_was_committed(self) -> None:
        check(Collection.open(self.folder), {path: version for path, (version, _) in self.committed.items()}, {})
        plan = self.writer.plan([(path, size, version) for path, (version, size) in self.committed.items()])
        assert set(plan.unchanged) == set(self.committed)
        assert not plan.gone

    @invariant()
    def readers_keep_their_snapshot(self) -> None:
        for reader, versions in self.readers:
            check(reader, versions, {})

    def teardown(self) -> None:
        self.writer.close()
        self.home.cleanup()


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
