"""Search over a million vectors of 384, beside FAISS itself on the same index: time, recall, size, time to build."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cifar10 import MODEL, SIDE, TEST, TEST_LABELS, fetch, read
from benchmarks.report import Report, Settings, Table
from nexus.engines.predictor import Predictor
from nexus.engines.timing import compare
from nexus.models.loading import load_model
from nexus.retrieval import Collection, Identity, ann
from nexus.retrieval.cluster import kmeans
from nexus.retrieval.store import ann_file, vector_file

KINDS: tuple[ann.Ann, ...] = ("flat", "hnsw", "ivfpq")
K, QUERIES, COMPONENTS, BLOCK = 10, 1_000, 64, 50_000

METHOD = (
    f"The vectors are drawn from a mixture of {COMPONENTS} Gaussians with one covariance, fitted (spherical k-means, "
    f"then means, shares and the covariance within) to {MODEL} class tokens of CIFAR-10 test images; the first table "
    "says how well it fits images that it has not seen. Queries are drawn from it too. The other side of each pair is "
    f"FAISS on the very same index with queries that are normalised already; k = {K}. nexus normalises the queries, "
    "finds candidates, computes their true cosine and L2 distance from the vector file and orders them; for IVF,PQ "
    "FAISS orders the same number of candidates again by `IndexRefineFlat`. Recall is against the exact search."
)


@dataclass(frozen=True)
class Mixture:
    """Gaussians around `means` (C, D) with `shares` (C,) and one covariance ``root @ root.T``."""

    means: np.ndarray
    shares: np.ndarray
    root: np.ndarray

    @classmethod
    def fit(cls, vectors: np.ndarray, components: int) -> Mixture:
        """Fit to real vectors (N, D)."""
        labels = kmeans(ann.normalised(vectors), components)
        counts = np.bincount(labels)
        means = np.stack([vectors[labels == label].mean(0) for label in range(len(counts))])
        values, directions = np.linalg.eigh(np.cov((vectors - means[labels]).T.astype(np.float64)))
        return cls(means, counts / counts.sum(), directions * np.sqrt(np.maximum(values, 0)))

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Return (count, D) float32 vectors."""
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((count, len(self.root)), np.float32) @ self.root.T.astype(np.float32)
        return (self.means[rng.choice(len(self.shares), count, p=self.shares)] + noise).astype(np.float32)


def run(settings: Settings) -> Report:
    """Measure all kinds of index."""
    count, images, pairs = (5_000, 200, 2) if settings.quick else (1_000_000, 10_000, 15)
    real = _real_vectors(settings.data, images)
    half = len(real) // 2
    mixture = Mixture.fit(real[:half], min(COMPONENTS, half // 10))
    folder = Path(tempfile.mkdtemp(dir=settings.data))
    try:
        collection = _collect(mixture, count, folder)
        times, quality = _measure(collection, mixture.draw(QUERIES, seed=1), pairs)
    finally:
        shutil.rmtree(folder)
    return Report(
        "search", f"Search over {count:,} vectors of 384", [_fit_table(mixture, real), times, quality], METHOD
    )


def _real_vectors(data: Path, count: int) -> np.ndarray:
    """Return class tokens (count, 384) of CIFAR-10 images, made once."""
    kept = data / f"{MODEL}-cifar10-test-{count}.npy"
    if not kept.exists():
        pictures = read(fetch(data), TEST, TEST_LABELS).pictures[:count]
        with Predictor(load_model(MODEL), preprocess={"resize": (SIDE, SIDE), "crop": None}) as predictor:
            np.save(kept, predictor.embed(pictures).vectors)
    vectors: np.ndarray = np.load(kept)
    return vectors


def _fit_table(mixture: Mixture, real: np.ndarray) -> Table:
    """Compare the vectors drawn with real ones that the mixture was not fitted to, by what makes search hard."""
    half = len(real) // 2
    fitted, unseen = real[:half], real[half:]
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(unseen.shape)
    rows = [
        (name, *_spread(vectors, fitted))
        for name, vectors in (
            ("real images, unseen", unseen),
            ("drawn from the mixture", mixture.draw(len(unseen), seed=2)),
            ("white noise", noise.astype(np.float32)),
        )
    ]
    columns = {"": "", "cosine to the nearest real one": ".3f", "to the 10th": ".3f", "to a random one": ".3f"}
    return Table("How like real vectors these are", {**columns, "length": ".1f"}, rows, "Medians.")


def _spread(vectors: np.ndarray, others: np.ndarray) -> tuple[float, float, float, float]:
    cosine = np.sort(ann.normalised(vectors) @ ann.normalised(others).T, axis=1)
    medians = np.median(cosine[:, -1]), np.median(cosine[:, -K]), np.median(cosine)
    return *(float(median) for median in medians), float(np.median(np.linalg.norm(vectors, axis=1)))


def _collect(mixture: Mixture, count: int, folder: Path) -> Collection:
    """Write a collection of vectors that were drawn."""
    identity = Identity(model="mixture", weights_digest="0", preprocess_digest="0", dims=mixture.means.shape[1])
    with Collection.writer(folder / "bench.nexus", identity, folder, commit_every=BLOCK) as writer:
        for start in range(0, count, BLOCK):
            vectors = mixture.draw(min(BLOCK, count - start), seed=1_000 + start)
            for number, vector in enumerate(vectors, start):
                writer.put(b"%d.jpg" % number, f"{number:064x}", None, (0, 0), vector)
    return Collection.open(folder / "bench.nexus")


def _measure(collection: Collection, queries: np.ndarray, pairs: int) -> tuple[Table, Table]:
    truth = collection.search(queries, K, exact=True).positions
    times, quality = [], []
    for kind in KINDS:
        start = time.perf_counter()
        index = ann.build("flat", collection.vectors) if kind == "flat" else _built(collection, kind)
        built = time.perf_counter() - start
        theirs = _faiss_search(index, collection, kind)
        for batch in (1, QUERIES):
            row = _pair(collection, queries[:batch], theirs, kind, pairs * (1 if batch > 1 else 20))
            times.append((kind, batch, *row))
        found = collection.search(queries, K, exact=kind == "flat").positions
        recall = float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(truth, found, strict=True)]))
        quality.append((kind, recall, *_bytes(collection, kind), built))
    columns = {
        "index": "",
        "queries": ",d",
        "nexus ms": ".2f",
        "FAISS ms": ".2f",
        "more ms": ".2f",
        "times as fast": ".3f",
    }
    kept = {"index": "", "recall@10": ".3f", "bytes per vector, index file": ",.0f", "vectors kept to rank by": ",.0f"}
    return (
        Table("Time beside FAISS", {**columns, "queries/s": ",.0f"}, times),
        Table("Recall, size, time to build", {**kept, "seconds to build": ",.1f"}, quality),
    )


def _built(collection: Collection, kind: ann.Ann) -> ann.Index:
    collection.build_ann(kind)
    index = ann.load(ann_file(collection.folder, collection.generation), collection.dims, collection.count)
    assert index is not None
    return index


def _faiss_search(built: ann.Index, collection: Collection, kind: ann.Ann) -> Callable[[np.ndarray], Any]:
    """Return a search by FAISS alone, with the parameters that nexus uses."""
    library, index = ann.faiss(), built.found
    if kind == "flat":
        return lambda unit: index.search(unit, K)
    if kind == "hnsw":
        parameters = library.SearchParametersHNSW(efSearch=ann.HNSW_SEARCH)
        return lambda unit: index.search(unit, K, params=parameters)
    exact = ann.build("flat", collection.vectors).found
    refined = library.IndexRefine(index, exact)
    index.nprobe, refined.k_factor = min(ann.IVFPQ_PROBES, index.nlist), ann.IVFPQ_CANDIDATES / K
    owners = built, exact  # FAISS keeps pointers only, so the closure keeps what they point to

    def search(unit: np.ndarray) -> Any:
        assert owners
        return refined.search(unit, K)

    return search


def _pair(
    collection: Collection, queries: np.ndarray, theirs: Callable[[np.ndarray], Any], kind: ann.Ann, pairs: int
) -> tuple[float, float, float, float, float]:
    unit = ann.normalised(queries)

    def by_faiss() -> Any:
        ann.faiss()  # the same number of threads
        return theirs(unit)

    timing = compare(
        {"FAISS": by_faiss, "nexus": lambda: collection.search(queries, K, exact=kind == "flat")},
        "FAISS",
        pairs=pairs,
        units=len(queries),
        unit="queries",
    )
    ours, reference = timing["nexus"], timing["FAISS"]
    milliseconds = 1e3 * ours.seconds, 1e3 * reference.seconds
    return *milliseconds, milliseconds[0] - milliseconds[1], ours.ratio, ours.per_second


def _bytes(collection: Collection, kind: ann.Ann) -> tuple[float, float]:
    kept = vector_file(collection.folder, collection.generation).stat().st_size / collection.count
    index = 0 if kind == "flat" else ann_file(collection.folder, collection.generation).stat().st_size
    return index / collection.count, kept
