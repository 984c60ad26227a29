"""Frozen features on disk: a picture runs through a model once, whatever it is called and whoever asks."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nexus._files import write_file
from nexus._system import usable_cores
from nexus.config import Config
from nexus.datasets.labelled import LabelledImages
from nexus.engines.predictor import Batch, Predictor, pool
from nexus.errors import CollectionError, ImageError, InputError
from nexus.evaluation._feature_store import FeatureStore
from nexus.hub import cache_dir
from nexus.results import Progress, ProgressEvent, Skipped
from nexus.transforms.image import (
    EncodedImage,
    ImageLike,
    Limits,
    describe_source,
    is_in_memory,
    read_file,
    read_picture,
)

__all__ = ["FeatureCache", "Features", "evict"]

FORMAT = 1
"""Of the rows: another one starts anew."""

MAX_BYTES = 32 * 2**30
COMMIT_SECONDS = 1.0
HASHED_AT_ONCE = 256
BLOCK = 4_096
IN_MEMORY = 256 * 2**20
"""Bytes of scattered rows that are put together in memory; more lie in a file."""

ROUNDS = 3
"""How often rows are made that another process throws away meanwhile."""


@dataclass(frozen=True)
class Features:
    """The features of a dataset.

    Attributes:
        rows: (N, D) float32, one row per picture that could be read; a file is mapped, so that memory does not grow.
        kept: (N,) int64, which pictures these are: ``data.targets[features.kept]`` are their labels.
        columns: which of the D columns are of which output.
        skipped: pictures that could not be read, and why.
        computed: how many pictures ran through the model; the others were known.
    """

    rows: NDArray[np.float32]
    kept: NDArray[np.int64]
    columns: dict[str, slice]
    skipped: tuple[Skipped, ...]
    computed: int


class FeatureCache:
    """Frozen features, kept under the content of each picture.

    There is a folder for each combination of weights (their digest and the model's config), preprocessing and outputs,
    so that what is read is what the model would give now. Rows are found by the sha256 of a picture's file, or of its
    pixels where it came without one: a picture that was moved, renamed or is there twice costs nothing, one that was
    changed is seen as another. A process that is killed loses at most the last second, and several may work at once.

    The engine is not part of the key: every one is held to a cosine of at least 0.999 with eager fp32 before it is used
    (`nexus.engines`), and so are the rows that it left here.

    Where all folders together exceed `max_bytes`, those used longest ago are emptied when a cache is opened.

    Args:
        predictor: what makes features.
        outputs: what to keep, as `Predictor.stream` names it; one vector each, side by side: ``"embeddings"``,
            ``"logits"``; the mean over the patches of ``"tokens"`` and ``"features.N"``; the class token of
            ``"aux.prefix_tokens.N"``.
        folder: where all such folders lie; None: ``features`` in nexus's cache.
        max_bytes: how much all of them may hold.
    """

    def __init__(
        self,
        predictor: Predictor,
        outputs: Sequence[str] = ("embeddings",),
        *,
        folder: str | Path | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.predictor, self.outputs = predictor, tuple(outputs)
        home = features_dir() if folder is None else Path(folder)
        config = predictor.model.config
        identity = {
            "format": FORMAT,
            "weights": predictor.digest(),
            "config": config.to_dict() if isinstance(config, Config) else dict(config),
            "preprocess": predictor.preprocess.to_dict(),
            "outputs": self.outputs,
        }
        described = json.dumps(identity, sort_keys=True, default=str)
        self.folder = home / hashlib.sha256(described.encode()).hexdigest()[:32]
        self._store = FeatureStore(self.folder)
        write_file(self.folder / "about.json", described.encode())  # for people; its time says when it was used last
        evict(max_bytes, home, keep=self.folder)

    def features(self, data: LabelledImages | Sequence[ImageLike], *, progress: Progress | None = None) -> Features:
        """Return the features of all pictures that can be read; those not known yet run through the model.

        Args:
            data: a dataset, or its pictures.
            progress: called while files are looked at and pictures run.

        Raises:
            CollectionError: other processes keep emptying the folder.
            InputError: the model has no such output, or gives one that is not finite.
            EngineError: see `Predictor.stream`.
        """
        sources = data.sources if isinstance(data, LabelledImages) else data
        keys = _content_keys(sources, progress)
        skipped: dict[int, Skipped] = {}
        computed = 0
        for _ in range(ROUNDS):
            places, rows, widths = self._store.find(keys)
            groups: dict[bytes, list[int]] = {}
            for index in np.flatnonzero(places < 0).tolist():
                if index not in skipped:
                    groups.setdefault(keys[index], []).append(index)
            if not groups:
                break
            computed += self._compute(sources, keys, list(groups.values()), skipped, progress)
        else:
            raise CollectionError(f"{self.folder} is emptied faster than it fills: give it more than max_bytes")
        kept = np.flatnonzero(places >= 0)
        ends = np.cumsum(widths).tolist()
        return Features(
            rows=_gathered(rows, places[kept], self.folder),
            kept=kept,
            columns={name: slice(end - width, end) for name, end, width in zip(self.outputs, ends, widths)},
            skipped=tuple(skipped[index] for index in sorted(skipped)),
            computed=computed,
        )

    def _compute(
        self,
        sources: Sequence[ImageLike],
        keys: list[bytes],
        groups: list[list[int]],
        skipped: dict[int, Skipped],
        progress: Progress | None,
    ) -> int:
        """Run the first picture of each group of equals through the model, and add what comes out; return how many."""
        pictures = (sources[members[0]] for members in groups)
        pending, count = _Pending(self._store), 0
        try:
            for batch in self.predictor.stream(pictures, self.outputs, total=len(groups), progress=progress):
                for bad in batch.skipped:
                    assert bad.error is not None
                    for member in groups[bad.index]:
                        name = describe_source(sources[member])
                        skipped[member] = Skipped(source=name, reason=bad.error.reason)
                for number, decoded in zip(batch.indices, batch.decoded, strict=True):
                    if decoded.sha256 is not None:  # it may have changed since it was looked at
                        keys[groups[number][0]] = bytes.fromhex(decoded.sha256)
                if batch.indices:
                    pending.add([keys[groups[number][0]] for number in batch.indices], self._vectors(batch))
                    count += len(batch.indices)
        finally:
            pending.commit()
        return count

    def _vectors(self, batch: Batch) -> list[NDArray[np.float32]]:
        """One (B, D) block per output."""
        blocks = []
        for name in self.outputs:
            array = batch.outputs[name]
            blocks.append(np.asarray(pool(array, name, "cls" if array.ndim == 2 else "mean"), dtype=np.float32))
            if not np.isfinite(blocks[-1]).all():
                raise InputError(f"{self.predictor.name} gives {name} with NaN or infinity: its weights are damaged")
        return blocks


class _Pending:
    """Rows that are not on the disk yet: a transaction for every batch would cost more than a small model."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._keys: list[bytes] = []
        self._blocks: list[list[NDArray[np.float32]]] = []
        self._since = time.monotonic()

    def add(self, keys: list[bytes], blocks: list[NDArray[np.float32]]) -> None:
        """Take the rows of one batch."""
        self._keys += keys
        self._blocks.append(blocks)
        if time.monotonic() - self._since > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what is there."""
        if self._keys:
            widths = tuple(block.shape[1] for block in self._blocks[0])
            self._store.add(self._keys, np.concatenate([np.hstack(blocks) for blocks in self._blocks]), widths)
        self._keys, self._blocks, self._since = [], [], time.monotonic()


def features_dir() -> Path:
    """Return the folder in nexus's cache under which all features lie."""
    return cache_dir() / "features"


def evict(max_bytes: int, folder: str | Path | None = None, *, keep: Path | None = None) -> int:
    """Empty the folders of features that were used longest ago, until the others hold no more than `max_bytes`.

    Args:
        max_bytes: what may remain; 0 empties all.
        folder: where all such folders lie; None: ``features`` in nexus's cache.
        keep: one that stays in any case.

    Returns:
        How many bytes are free now that were not before.
    """
    home = features_dir() if folder is None else Path(folder)
    used = {about.parent: about.stat().st_mtime_ns for about in home.glob("*/about.json")}
    stores = [FeatureStore(one) for one in sorted(used, key=lambda one: used[one])]
    excess, freed = sum(store.size() for store in stores) - max_bytes, 0
    for store in stores:
        if freed >= excess:
            break
        size = store.size()
        if store.folder != keep and store.clear():
            freed += size
    return freed


def _content_keys(sources: Sequence[ImageLike], progress: Progress | None) -> list[bytes]:
    """What tells the content of each picture from all others: 32 bytes, or its number where it cannot be read."""
    keys: list[bytes] = []
    with ThreadPoolExecutor(usable_cores()) as threads:  # hashing lets go of the interpreter
        for start in range(0, len(sources), HASHED_AT_ONCE):
            numbers = range(start, min(start + HASHED_AT_ONCE, len(sources)))
            found = threads.map(_content_key, [sources[number] for number in numbers])
            keys += [key or f"unreadable {number}".encode() for key, number in zip(found, numbers, strict=True)]
            if progress is not None:
                progress(ProgressEvent(stage="look up", done=numbers.stop, total=len(sources)))
    return keys


def _content_key(source: ImageLike) -> bytes | None:
    try:
        if is_in_memory(source):
            picture = read_picture(source, Limits()).image
            return hashlib.sha256(b"%d x %d pixels" % picture.size + picture.tobytes()).digest()
        if isinstance(source, EncodedImage):
            return hashlib.sha256(source.data).digest()
        if isinstance(source, bytes | bytearray | memoryview):
            return hashlib.sha256(source).digest()
        if isinstance(source, str | os.PathLike):
            return hashlib.sha256(read_file(source, Limits())).digest()
    except ImageError:
        pass
    return None  # the decoder says why


def _gathered(rows: NDArray[np.float32], places: NDArray[np.int64], folder: Path) -> NDArray[np.float32]:
    """Rows at some places: as they lie where that is side by side, else put together, in a file if they are many."""
    if not len(places) or np.array_equal(places, np.arange(places[0], places[0] + len(places))):
        return rows[places[0] : places[0] + len(places)] if len(places) else rows[:0]
    if 4 * len(places) * rows.shape[1] <= IN_MEMORY:
        return np.asarray(rows[places])
    with tempfile.TemporaryFile(dir=folder) as file:
        gathered = np.memmap(file, "<f4", "w+", shape=(len(places), rows.shape[1]))
    for start in range(0, len(places), BLOCK):
        gathered[start : start + BLOCK] = rows[places[start : start + BLOCK]]
    return gathered
