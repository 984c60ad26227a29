"""FAISS: exact and approximate indexes over normalised vectors, where the inner product is the cosine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nexus._system import usable_cores
from nexus.errors import ConfigError, did_you_mean

__all__ = [
    "ANN_MINIMUM",
    "HNSW_SEARCH",
    "IVFPQ_CANDIDATES",
    "IVFPQ_PROBES",
    "Ann",
    "Index",
    "best",
    "build",
    "candidates",
    "choose",
    "cosines",
    "distances",
    "extend",
    "faiss",
    "load",
    "normalised",
    "save",
]

Ann = Literal["auto", "flat", "hnsw", "ivfpq"]

ANN_MINIMUM = 1_000
"""Below this, quantisers cannot be trained and nothing could be gained: the index is flat whatever was asked for."""

HNSW_FROM, IVFPQ_FROM = 200_000, 4_000_000
"""Where "auto" changes: flat answers 200 k pictures in about 20 ms; HNSW keeps all in memory, too much at millions."""

HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 32, 80, 320
"""Links per node; candidates looked at while building, and while searching."""

IVFPQ_PROBES, IVFPQ_CANDIDATES = 48, 384
"""Lists that a query reads, and how many of what it finds there are ranked by their true distance, at least."""

IVFPQ_FLOATS_PER_CODE, IVFPQ_TRAIN, IVFPQ_STEPS = 8, 50, 12
"""Floats per byte of code; training vectors per centroid, and steps."""

BLOCK = 65_536
FEW_ROWS = 4_096
IO_BLOCK = 1 << 22

Vectors = NDArray[np.float32]


def faiss(threads: int | None = None) -> Any:
    """Import FAISS (half a second) and let this thread's next calls use so many cores.

    FAISS counts the machine's cores, not those of the process, and the number belongs to the calling thread.

    Args:
        threads: how many; by default ``OMP_NUM_THREADS``, else the cores that this process may use.
    """
    import faiss as module

    module.omp_set_num_threads(threads or _threads())
    return module


@cache
def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) else usable_cores()


def choose(asked: str, count: int) -> Ann:
    """Return the kind of index for so many vectors.

    Raises:
        ConfigError: there is no such kind.
    """
    if asked not in get_args(Ann):
        known = get_args(Ann)
        raise ConfigError(f"ann = {asked!r}: must be one of {', '.join(known)}{did_you_mean(asked, known)}")
    if count < ANN_MINIMUM:
        return "flat"
    if asked != "auto":
        return asked  # type: ignore[return-value]
    return "flat" if count < HNSW_FROM else "hnsw" if count < IVFPQ_FROM else "ivfpq"


def normalised(vectors: Vectors) -> Vectors:
    """Return a copy with rows of length 1; a row of zeros stays so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-30), dtype=np.float32)


@dataclass(frozen=True)
class Index:
    """An index of FAISS over normalised vectors, and their lengths.

    Attributes:
        kind: as `choose` names it.
        found: FAISS's index.
        lengths: FAISS's flat index of one float per row: the lengths of the vectors as given. With it the true cosine
            of a candidate is one product with the vector file.
    """

    kind: Ann
    found: Any
    lengths: Any

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.found.ntotal)


def build(kind: Ann, vectors: Vectors) -> Index:
    """Build an index over rows (N, D), which need not be normalised."""
    index = Index(kind, _EMPTY[kind](vectors), faiss().IndexFlatL2(1))
    extend(index, vectors)
    return index


def extend(index: Index, vectors: Vectors) -> None:
    """Add the rows that the index does not hold yet."""
    for start in range(index.count, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        index.found.add(normalised(block))
        index.lengths.add(np.linalg.norm(block, axis=1, keepdims=True))


def _flat(vectors: Vectors) -> Any:
    return faiss().IndexFlatIP(vectors.shape[1])


def _hnsw(vectors: Vectors) -> Any:
    library = faiss()
    # Half precision halves the memory; the true cosines are computed from the vector file afterwards.
    index = library.IndexHNSWSQ(
        vectors.shape[1], library.ScalarQuantizer.QT_fp16, HNSW_LINKS, library.METRIC_INNER_PRODUCT
    )
    index.hnsw.efConstruction = HNSW_BUILD
    index.train(normalised(vectors[:1]))  # fp16 learns nothing but wants to be asked
    return index


def _ivfpq(vectors: Vectors) -> Any:
    library = faiss()
    count, dims = vectors.shape
    lists = max(1, min(int(2 * math.sqrt(count)), count // 39))
    codes = max(size for size in range(1, max(1, dims // IVFPQ_FLOATS_PER_CODE) + 1) if dims % size == 0)
    quantizer = library.IndexFlatIP(dims)
    index = library.IndexIVFPQ(quantizer, dims, lists, codes, 8, library.METRIC_INNER_PRODUCT)
    index.own_fields = True
    quantizer.this.disown()
    for clustering in (index.cp, index.pq.cp):
        clustering.min_points_per_centroid = 1  # no warning on stderr for small collections
        clustering.niter = IVFPQ_STEPS  # half of the default's for the codes, whose training is most of the time
    wanted = max(IVFPQ_TRAIN * lists, IVFPQ_TRAIN * 256)
    sample = np.sort(np.random.default_rng(0).choice(count, min(count, wanted), replace=False))
    index.train(normalised(vectors[sample]))
    return index


_EMPTY: dict[str, Callable[[Vectors], Any]] = {"flat": _flat, "hnsw": _hnsw, "ivfpq": _ivfpq}


def candidates(index: Index, queries: Vectors, k: int, alive: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Return (Q, >=k) rows that probably hold the nearest ones, unordered, -1 where there are none.

    Args:
        index: ``hnsw`` or ``ivfpq``.
        queries: (Q, D), normalised.
        k: how many are wanted in the end.
        alive: rows that may be returned, or None for all.
    """
    library = faiss()
    selector = None
    if alive is not None:
        bits = np.packbits(alive, bitorder="little")
        selector = library.IDSelectorBitmap(bits)
    if index.kind == "hnsw":
        parameters = library.SearchParametersHNSW(efSearch=max(HNSW_SEARCH, 2 * k), sel=selector)
        wanted = k + k // 2 + 2
    else:
        parameters = library.SearchParametersIVF(nprobe=min(IVFPQ_PROBES, index.found.nlist), sel=selector)
        wanted = max(IVFPQ_CANDIDATES, 12 * k)
    _, rows = index.found.search(queries, min(wanted, index.count), params=parameters)
    return np.asarray(rows, dtype=np.int64)


def cosines(index: Index, queries: Vectors, vectors: Vectors, rows: NDArray[np.int64]) -> Vectors:
    """Compute the true cosines of candidates, in place on a memory-mapped file and on all cores.

    Args:
        index: which gave the candidates.
        queries: (Q, D), normalised.
        vectors: (N, D) as given, C-contiguous.
        rows: (Q, K) numbers of rows; -1 for none.

    Returns:
        (Q, K), -inf where there is no row.
    """
    lengths = faiss().rev_swig_ptr(index.lengths.get_xb(), index.count)
    cosine = _by_rows("fvec_inner_products_by_idx", queries, vectors, rows)
    cosine /= np.maximum(lengths[rows], 1e-30)
    cosine[rows < 0] = -np.inf
    return cosine


def best(rows: NDArray[np.int64], cosine: Vectors, k: int) -> tuple[NDArray[np.int64], Vectors]:
    """Keep the k of each query's rows with the largest cosine, largest first; equal ones in the order of rows.

    Args:
        rows, cosine: (Q, K) each.
        k: 1..K.
    """
    each = np.arange(len(rows))[:, None]
    if rows.shape[1] > 2 * k:  # to sort hundreds takes as long as it took to compare them
        chosen = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        rows, cosine = rows[each, chosen], cosine[each, chosen]
    order = np.lexsort((rows, -cosine), axis=1)[:, :k]
    return rows[each, order], cosine[each, order]


def distances(queries: Vectors, vectors: Vectors, rows: NDArray[np.int64]) -> Vectors:
    """Compute the (Q, K) L2 distances of queries (Q, D), not normalised, to rows of their own (Q, K).

    From the differences themselves: lengths and products would say that a picture is not quite at itself.
    """
    return np.sqrt(_by_rows("fvec_L2sqr_by_idx", queries, vectors, rows))


def _by_rows(function: str, queries: Vectors, vectors: Vectors, rows: NDArray[np.int64]) -> Vectors:
    """Apply a function of FAISS to each query and its own rows of the vectors; infinite where a row is -1."""
    # For a few rows a team of threads costs more than it saves, on a busy machine a hundred times more.
    library = faiss(threads=1 if rows.size < FEW_ROWS else None)
    results, rows = np.full(rows.shape, np.inf, np.float32), np.ascontiguousarray(rows, dtype=np.int64)
    pointers = [library.swig_ptr(array) for array in (results, queries, vectors, rows)]
    getattr(library, function)(*pointers, vectors.shape[1], *rows.shape)
    return results


def save(index: Index, path: Path) -> None:
    """Write aside and rename, so that a reader sees a whole file or none."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.aside")
    library = faiss()
    try:
        with aside.open("wb") as file:  # FAISS itself opens no file whose name is not UTF-8
            writer = library.BufferedIOWriter(library.PyCallbackIOWriter(file.write, IO_BLOCK), IO_BLOCK)
            for part in (index.found, index.lengths):
                library.write_index(part, writer)
            del writer  # it writes the rest when it goes
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def load(path: Path, dims: int, rows: int) -> Index | None:
    """Read an index of at most `rows` vectors of `dims`; None where there is none or it cannot be that."""
    if not path.is_file():
        return None
    library = faiss()
    try:
        with path.open("rb") as file:
            reader = library.BufferedIOReader(library.PyCallbackIOReader(file.read, IO_BLOCK), IO_BLOCK)
            found, lengths = library.read_index(reader), library.read_index(reader)
    except RuntimeError:  # a damaged cache is as good as none
        return None
    fits = found.d == dims and found.ntotal == lengths.ntotal <= rows
    return Index(_kind(found), found, lengths) if fits else None


def _kind(found: Any) -> Ann:
    name = type(found).__name__
    return "hnsw" if "HNSW" in name else "ivfpq" if "IVFPQ" in name else "flat"
