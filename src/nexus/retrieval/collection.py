"""A collection as readers see it: one consistent snapshot of a ``photos.nexus`` folder, and search over it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.errors import CollectionError, ConfigError, InputError
from nexus.results import Hit
from nexus.retrieval import ann, store
from nexus.retrieval.store import Identity, State, ann_file, vector_file
from nexus.retrieval.writer import Writer

__all__ = ["Collection", "Neighbours", "relative_name"]


class Neighbours(NamedTuple):
    """The k nearest images of each of Q queries, nearest first."""

    positions: NDArray[np.int64]  # (Q, k) into the collection's images
    cosine: NDArray[np.float32]  # (Q, k) -1..1
    l2: NDArray[np.float32]  # (Q, k) distance of the vectors as stored, not normalised


class Collection:
    """A snapshot of a collection on disk. Later writes, compaction included, do not change it; open it again for them.

    Images are numbered by position, 0..count-1, in the order in which they were added.

    Attributes:
        folder: where it lies.
        root: folder that the images' paths are relative to.
        identity: what made the vectors.
        dims: floats per stored vector; fewer than ``identity.dims`` after a reduction.
        generation: number of the vector file.
    """

    def __init__(
        self, folder: Path, root: bytes, state: State, images: list[tuple[Any, ...]], vectors: NDArray[np.float32]
    ) -> None:
        self.folder, self.identity, self.dims, self.generation = folder, state.identity, state.dims, state.generation
        self.root = os.fsdecode(root)
        self.explained = state.projection.explained if state.projection else 1.0
        self._root, self._projection, self._ann = root, state.projection, state.ann
        self._vectors = vectors  # (rows, dims), dead rows included
        self._rows = np.array([row for row, *_ in images], dtype=np.int64)
        self._names: list[bytes] = [name for _, name, _, _ in images]
        self._sha256 = [digest for _, _, digest, _ in images]
        self._phash = [phash for _, _, _, phash in images]
        self._index: ann.Index | Literal[False] | None = None  # False: there is none on the disk
        self._flat: Any = None

    # -- open ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path, root: str | Path, identity: Identity) -> Collection:
        """Make an empty collection and open it.

        Raises:
            CollectionError: the folder holds something else, or a collection of other settings.
        """
        with cls.writer(folder, identity, root):
            pass
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path, *, root: str | Path | None = None) -> Collection:
        """Open for reading; works while another process writes, and on read-only disks.

        Args:
            folder: the collection.
            root: where the images are now, if they were moved; by default the stored root.

        Raises:
            CollectionError: it is no collection, of a newer format, or damaged.
        """
        folder = Path(folder)
        connection = store.connect(folder, write=False)
        try:
            # The vector file is opened inside the transaction: a writer removes a generation only after the commit
            # that replaces it, and that commit waits for this reader.
            with store.transaction(connection, folder, write=False) as db:
                state = store.load_state(db)
                if state is None:
                    raise CollectionError(f"making {folder} was interrupted before the first commit; index again")
                images = db.execute("SELECT row, path, sha256, phash FROM images ORDER BY row").fetchall()
                vectors = _map(folder, state)
        finally:
            connection.close()
        moved = os.fsencode(os.path.abspath(root)) if root is not None else state.root
        return cls(folder, moved, state, images, vectors)

    @classmethod
    def writer(cls, folder: str | Path, identity: Identity, root: str | Path | None = None, **options: Any) -> Writer:
        """Open for writing, making it if needed; see `Writer` for the options and errors."""
        return Writer(folder, identity, root, **options)

    def require(self, identity: Identity) -> None:
        """Refuse vectors that cannot be compared with these.

        Raises:
            CollectionError: they were made by other weights, preprocessing, pooling or layer.
        """
        if differences := self.identity.differences(identity):
            raise CollectionError(
                f"{self.folder} was made with other settings ({'; '.join(differences)}). Use the model "
                f"{self.identity.model!r} with the stored preprocessing, or index again into a new folder"
            )

    # -- images -------------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> Sequence[bytes]:
        """Paths relative to the root, raw bytes separated by ``/``."""
        return self._names

    @property
    def paths(self) -> list[str]:
        """Full paths, as `os.fsdecode` gives them."""
        return [self.path(position) for position in range(self.count)]

    def path(self, position: int) -> str:
        """Return the full path of one image."""
        return os.fsdecode(os.path.join(self._root, self._names[position]))

    def position(self, path: str | bytes | os.PathLike[Any]) -> int | None:
        """Return the position of an image by its path (full, or relative to the root), or None if it is not here."""
        if not hasattr(self, "_positions"):
            self._positions = {name: position for position, name in enumerate(self._names)}
        return self._positions.get(self.relative(path))

    def relative(self, path: str | bytes | os.PathLike[Any]) -> bytes:
        """Return a path as the collection stores it; see `relative_name`."""
        return relative_name(path, self._root)

    @property
    def sha256(self) -> list[str]:
        """Hex digests of the files' bytes."""
        return [digest.hex() for digest in self._sha256]

    @property
    def phashes(self) -> NDArray[np.uint64]:
        """(N,) 64-bit perceptual hashes; where `has_phash` is false the value means nothing."""
        return np.array([phash or 0 for phash in self._phash], dtype=np.int64).view(np.uint64)

    @property
    def has_phash(self) -> NDArray[np.bool_]:
        """(N,) whether the image has a perceptual hash."""
        return np.array([phash is not None for phash in self._phash], dtype=bool)

    # -- vectors ------------------------------------------------------------------------------------------------

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(N, dims) stored vectors. Mapped from the file, unless some rows are dead: then a copy in memory."""
        return self._vectors if len(self._vectors) == self.count else self._vectors[self._rows]

    def take(self, positions: ArrayLike) -> NDArray[np.float32]:
        """Return a copy of the stored vectors of some images, (n, dims)."""
        return np.array(self._vectors[self._rows[np.asarray(positions, dtype=np.int64)]])

    def blocks(self, size: int = ann.BLOCK) -> Iterator[NDArray[np.float32]]:
        """Yield the stored vectors in order of position, `size` at a time, so that memory stays flat."""
        for start in range(0, self.count, size):
            yield self.take(np.arange(start, min(start + size, self.count)))

    def project(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Bring vectors of the model, (Q, D) or (D,), to the form that is stored, (Q, dims).

        Raises:
            InputError: they have another length or are not finite.
        """
        array = np.atleast_2d(np.ascontiguousarray(vectors, dtype=np.float32))
        if array.ndim != 2 or array.shape[1] != self.identity.dims:
            raise InputError(
                f"vectors of shape {array.shape} do not fit {self.folder}: {self.identity.dims} are needed"
            )
        if not np.isfinite(array).all():
            raise InputError("a query vector holds NaN or infinity")
        return self._projection(array) if self._projection else array

    # -- search -------------------------------------------------------------------------------------------------

    def search(
        self,
        queries: ArrayLike,
        k: int = 5,
        *,
        within: str | Sequence[str] | None = None,
        exact: bool = False,
    ) -> Neighbours:
        """Find the images nearest to each query by cosine.

        Uses the approximate index where the collection has one, and computes the true distances of what it finds.

        Args:
            queries: (Q, D) or (D,) vectors of the collection's model, not normalised.
            k: how many; fewer where the collection (or `within`) holds fewer.
            within: only images in these folders or matching these patterns, relative to the root (``"2024/rome"``,
                ``"*.png"``). Searched exactly.
            exact: compare with every image, whatever the size.

        Raises:
            ConfigError: k < 1.
            InputError: the queries do not fit, or no image lies `within`.
        """
        return self.nearest(self.project(queries), k, within=within, exact=exact)

    def nearest(
        self,
        raw: NDArray[np.float32],
        k: int = 5,
        *,
        within: str | Sequence[str] | None = None,
        exact: bool = False,
    ) -> Neighbours:
        """As `search`, for queries in the form that is stored: (Q, dims) float32, C-contiguous."""
        if k < 1:
            raise ConfigError(f"k = {k}: must be at least 1")
        unit, wanted = ann.normalised(raw), min(k, self.count)
        if not self.count:
            return Neighbours(*(np.zeros((len(raw), 0), kind) for kind in (np.int64, np.float32, np.float32)))
        if within is not None:
            return self._neighbours(raw, *self._scan(unit, wanted, self.select(within)))
        index = None if exact else self._approximate()
        if index is None:
            cosine, positions = self._exact_index().search(unit, wanted)
            return self._neighbours(raw, *ann.best(self._rows[positions], cosine, wanted))
        rows = ann.candidates(index, unit, wanted, self._alive())
        rows, cosine = ann.best(rows, ann.cosines(index, unit, self._vectors, rows), wanted)
        if not np.isfinite(cosine).all():  # the graph or the probed lists held fewer than k live ones
            return self.nearest(raw, k, exact=True)
        return self._neighbours(raw, rows, cosine)

    def hits(self, found: Neighbours) -> list[list[Hit]]:
        """Turn what `search` found into results with full paths, one list a query."""
        return [
            [
                Hit(path=self.path(int(position)), cosine=float(cosine), l2=float(l2))
                for position, cosine, l2 in zip(*row, strict=True)
            ]
            for row in zip(*found, strict=True)
        ]

    def select(self, within: str | Sequence[str]) -> NDArray[np.int64]:
        """Return the positions of images in folders or matching patterns.

        Raises:
            InputError: there are none.
        """
        wanted = [within] if isinstance(within, str) else list(within)
        matchers = [_matcher(os.fsdecode(self.relative(pattern))) for pattern in wanted]
        chosen = [p for p, name in enumerate(self._names) if any(match(os.fsdecode(name)) for match in matchers)]
        if not chosen:
            asked = ", ".join(map(repr, wanted))
            raise InputError(f"no image of {self.folder} lies within {asked} (root: {self.root})")
        return np.array(chosen, dtype=np.int64)

    # -- indexes ------------------------------------------------------------------------------------------------

    def build_ann(self, kind: str | None = None) -> str:
        """Make sure the approximate index is there, complete and on the disk, if the size or `kind` asks for one.

        Args:
            kind: ``auto``, ``flat``, ``hnsw`` or ``ivfpq``; by default what the collection was made with.

        Returns:
            The kind in use: ``flat`` (nothing to build), ``hnsw`` or ``ivfpq``.

        Raises:
            ConfigError: there is no such kind.
            CollectionError: the folder cannot be written.
        """
        chosen, path = ann.choose(kind or self._ann, self.count), ann_file(self.folder, self.generation)
        if chosen == "flat":
            self._index = None
            return chosen
        index = ann.load(path, self.dims, len(self._vectors))
        if index is not None and index.kind == chosen and index.count == len(self._vectors):
            self._index = index
            return chosen
        if index is None or index.kind != chosen or index.count < len(self._vectors) // 2:
            index = ann.build(chosen, self._vectors)  # what was learnt from less than half of them is learnt again
        else:
            ann.extend(index, self._vectors)
        try:
            ann.save(index, path)
        except OSError as error:
            raise CollectionError(f"{path} cannot be written: {error}. Search works without it, only slower") from error
        self._index = index
        return chosen

    def _approximate(self) -> ann.Index | None:
        """The approximate index from the disk, brought up to date in memory; None where there is none to be used."""
        if self._index is None and ann.choose(self._ann, self.count) != "flat":
            index = ann.load(ann_file(self.folder, self.generation), self.dims, len(self._vectors))
            if index is not None:
                ann.extend(index, self._vectors)
            self._index = index if index is not None else False
        return self._index or None

    def _exact_index(self) -> Any:
        if self._flat is None:
            flat = ann.faiss().IndexFlatIP(self.dims)
            for block in self.blocks():
                flat.add(ann.normalised(block))
            self._flat = flat
        ann.faiss()  # this thread may be another one, whose number of cores is not set
        return self._flat

    def _alive(self) -> NDArray[np.bool_] | None:
        if len(self._vectors) == self.count:
            return None
        alive = np.zeros(len(self._vectors), dtype=bool)
        alive[self._rows] = True
        return alive

    def _scan(
        self, unit: NDArray[np.float32], k: int, positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and cosines of the k nearest among some images, by reading all of these, a block at a time."""
        library = ann.faiss()
        best_rows, best_cosine = np.empty((len(unit), 0), np.int64), np.empty((len(unit), 0), np.float32)
        for start in range(0, len(positions), ann.BLOCK):
            rows = self._rows[positions[start : start + ann.BLOCK]]
            block = ann.normalised(self._vectors[rows])
            cosine, nearest = library.knn(unit, block, min(k, len(block)), metric=library.METRIC_INNER_PRODUCT)
            best_rows, best_cosine = np.hstack([best_rows, rows[nearest]]), np.hstack([best_cosine, cosine])
            best_rows, best_cosine = ann.best(best_rows, best_cosine, min(k, best_rows.shape[1]))
        return best_rows, best_cosine

    def _neighbours(self, raw: NDArray[np.float32], rows: NDArray[np.int64], cosine: NDArray[np.float32]) -> Neighbours:
        """Number the images of ordered rows, and say how far they are."""
        positions = np.searchsorted(self._rows, rows)
        return Neighbours(positions, np.clip(cosine, -1, 1), ann.distances(raw, self._vectors, rows))


def relative_name(path: str | bytes | os.PathLike[Any], root: str | bytes | os.PathLike[Any]) -> bytes:
    """Return a path as a collection stores it: raw bytes, relative to `root`, separated by ``/``.

    A relative path is taken to be relative to `root`; one outside of `root` stays absolute. Links are not followed.
    """
    raw, base = os.fsencode(path), os.path.abspath(os.fsencode(root))
    if os.path.isabs(raw):
        raw = os.path.normpath(raw)
        prefix = base.rstrip(os.fsencode(os.sep)) + os.fsencode(os.sep)
        raw = raw[len(prefix) :] if raw.startswith(prefix) else b"" if raw == base else raw
    return raw.replace(b"\\", b"/") if os.sep == "\\" else raw


def _matcher(pattern: str) -> Callable[[str], bool]:
    """A test of relative names: a shell pattern, or else a folder (or the file itself)."""
    if any(character in pattern for character in "*?["):
        return lambda name: fnmatch.fnmatchcase(name, pattern)
    folder = pattern.strip("/").removeprefix("./")
    return lambda name: folder in ("", ".", name) or name.startswith(f"{folder}/")


def _map(folder: Path, state: State) -> NDArray[np.float32]:
    path, shape = vector_file(folder, state.generation), (state.rows, state.dims)
    if not state.rows:
        return np.empty(shape, np.float32)
    try:
        return np.asarray(np.memmap(path, dtype="<f4", mode="r", shape=shape))
    except (OSError, ValueError) as error:
        raise CollectionError(f"{path} is damaged or missing ({error}). Delete {folder} and index again") from error
