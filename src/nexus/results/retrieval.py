"""Collections, and the pictures that were found or recommended in them."""

from __future__ import annotations

from nexus.results.base import Name, Result, Shown, Skipped
from nexus.results.text import printable

__all__ = ["Hit", "IndexResult", "RecommendResult", "Recommendation", "SearchReport", "SearchResult"]


class IndexResult(Result):
    """What `nexus.index` did.

    Attributes:
        path: the collection's folder.
        added, updated, removed, unchanged: numbers of pictures.
        total: pictures in the collection now.
        dims: floats per stored vector.
        explained: share of the variance that a reduction by PCA kept; None without one.
        ann: kind of search index: ``"flat"``, ``"hnsw"`` or ``"ivfpq"``.
        engine: what ran the model.
        seconds: from start to end.
        images_per_second: pictures embedded in this run, over `seconds`.
        skipped: what could not be read, and why.
    """

    path: Name
    added: int
    updated: int
    removed: int
    unchanged: int
    total: int
    dims: int
    explained: float | None
    ann: str
    engine: str
    seconds: float
    images_per_second: float
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """Two or three lines."""
        speed = f", engine {self.engine}, {self.images_per_second:.1f} images/s" if self.added + self.updated else ""
        said = [
            f"{printable(self.path)}: {self.total} pictures ({self.added} added, {self.updated} updated, "
            f"{self.removed} removed, {self.unchanged} unchanged)",
            f"{self.dims} floats each, {self.ann} index, {self.seconds:.1f} s{speed}",
        ]
        return said + ([f"PCA kept {self.explained:.1%} of the variance"] if self.explained is not None else [])


class Hit(Result):
    """One image that a search found.

    Attributes:
        path: the image.
        cosine: of its vector and the query's, -1..1; 1 is the same direction.
        l2: Euclidean distance of the two vectors as the model gave them, not normalised; 0 is the same.
    """

    path: Name
    cosine: float
    l2: float


class SearchResult(Result):
    """What one query found, best first.

    Attributes:
        query: the picture, or the text.
        is_text: whether the query is a text.
        hits: what was found.
    """

    query: Name
    is_text: bool = False
    hits: tuple[Hit, ...]


class SearchReport(Shown):
    """What `nexus.search` found, one entry per query.

    Attributes:
        collection: where it was searched.
        results: in the order of the queries.
    """

    collection: Name
    results: tuple[SearchResult, ...]

    def lines(self) -> list[str]:
        """One numbered line per match."""
        said = []
        for result in self.results:
            how = "images for the text" if result.is_text else "similar images to"
            said.append(f"Top {len(result.hits)} {how} {printable(result.query)}:")
            said += [
                f"{rank}. {printable(hit.path)} (similarity: {hit.cosine:.4f}, distance: {hit.l2:.4f})"
                for rank, hit in enumerate(result.hits, 1)
            ]
        return said + self.written()


class Recommendation(Result):
    """One recommended picture.

    Attributes:
        path: the picture.
        score: cosine with the direction from what is disliked to what is liked, -1..1.
    """

    path: Name
    score: float


class RecommendResult(Shown):
    """Pictures ranked by what is liked and disliked, best first."""

    likes: tuple[Name, ...]
    dislikes: tuple[Name, ...]
    recommendations: tuple[Recommendation, ...]

    def lines(self) -> list[str]:
        """One numbered line per picture."""
        ranked = [
            f"{rank}. {printable(one.path)} (score: {one.score:.4f})"
            for rank, one in enumerate(self.recommendations, 1)
        ]
        return ranked + self.written()
