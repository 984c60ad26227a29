"""What was drawn of the features of some pictures."""

from __future__ import annotations

from nexus.results.base import Array, Name, Result, Skipped
from nexus.results.text import aligned, printable

__all__ = ["PcaResult", "SimilarityResult"]


class SimilarityResult(Result):
    """How alike some pictures are.

    Attributes:
        names: the pictures.
        cosine: (N, N) cosine similarity of the features, -1..1.
        l2: (N, N) Euclidean distance of the features.
        picture: the drawn matrix, where it was asked for.
        skipped: what could not be read.
    """

    names: tuple[Name, ...]
    cosine: Array
    l2: Array
    picture: Name | None = None
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """For two pictures a sentence, for more the matrix."""
        if len(self.names) == 2:
            return [f"similarity: {self.cosine[0][1]:.4f}, distance: {self.l2[0][1]:.4f}"]
        rows = [
            [printable(name), *(f"{value:.4f}" for value in row)]
            for name, row in zip(self.names, self.cosine, strict=True)
        ]
        said = aligned([["", *(str(n) for n in range(1, len(self.names) + 1))], *rows])
        return said + ([f"wrote {printable(self.picture)}"] if self.picture else [])


class PcaResult(Result):
    """The patch picture that `nexus.visualize_pca` wrote.

    Attributes:
        names: the pictures in it, from top to bottom.
        picture: the PNG.
        separated: whether an object was told from the background.
        explained_single: (3,) share of the variance of all patches that each colour explains.
        explained_two: (3,) the same among the object's patches.
        skipped: what could not be read.
    """

    names: tuple[Name, ...]
    picture: Name
    separated: bool
    explained_single: Array
    explained_two: Array
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """One line."""
        share = (
            f"{sum(self.explained_two):.0%} of the object's variance" if self.separated else "no background was found"
        )
        return [f"wrote {printable(self.picture)}: {len(self.names)} pictures, {share}"]
