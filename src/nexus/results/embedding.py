"""Vectors of pictures."""

from __future__ import annotations

from nexus.results.base import Array, Name, Result, Skipped
from nexus.results.text import printable

__all__ = ["EmbedResult", "Embeddings"]


class Embeddings(Result):
    """Vectors of images.

    Attributes:
        sources: the images that were read, in order.
        vectors: (images, D) float32; (images, N, D) with pooling ``"patch"``.
        skipped: the images that could not be read.
        model: name of the variant or class.
        weights: digest of its weights.
        preprocess: digest of the preprocess spec.
        pooling: ``"cls"``, ``"mean"`` or ``"patch"``.
        layer: the block they were taken from; None: the final output.
        engine: what ran the model.
    """

    sources: tuple[Name, ...]
    vectors: Array
    skipped: tuple[Skipped, ...] = ()
    model: str
    weights: str
    preprocess: str
    pooling: str
    layer: int | None
    engine: str

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.sources)

    def lines(self) -> list[str]:
        """What there is, and how to get it out."""
        shape = "x".join(map(str, self.vectors.shape[1:]))
        said = f"{len(self)} vectors of {shape} (engine {self.engine})"
        return [said, "say --out x.npz or --out x.parquet to write them to a file, or --json to print them"]


class EmbedResult(Result):
    """The file that `nexus.embed` wrote.

    Attributes:
        path: the file.
        count: vectors in it.
        shape: of one vector: (D,), or (N, D) for patches.
        resumed: how many of them an earlier, interrupted run had made.
        engine: what ran the model.
        seconds: from start to end.
        images_per_second: pictures embedded in this run, over `seconds`.
        skipped: what could not be read, and why.
    """

    path: Name
    count: int
    shape: tuple[int, ...]
    resumed: int
    engine: str
    seconds: float
    images_per_second: float
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """One line."""
        before = f", {self.resumed} of them from an earlier run" if self.resumed else ""
        shape = "x".join(map(str, self.shape))
        speed = f"engine {self.engine}, {self.images_per_second:.1f} images/s"
        return [f"wrote {printable(self.path)}: {self.count} vectors of {shape}{before} ({speed})"]
