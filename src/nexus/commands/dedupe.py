"""``nexus dedupe``: exact and near duplicates."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._collection import open_collection
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips
from nexus.commands._verb import verb
from nexus.results import DedupeResult

__all__ = ["dedupe"]


@verb
def dedupe(
    collection: str,
    *,
    near: bool = True,
    cosine: Annotated[float, Field(ge=-1, le=1)] = 0.95,
    bits: Annotated[int, Field(ge=0, le=64)] = 8,
    sheet: str | None = None,
    page: str | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> DedupeResult:
    """Find exact and near duplicates.

    Exact ones have the same bytes. Near ones are found by a perceptual hash and by the features, which fail on
    different edits; each pair says which of them found it. Nothing is deleted.

    Args:
        collection: a ``.nexus`` folder, or a folder of pictures (indexed into the cache on the fly).
        near: look for near duplicates too.
        cosine: features at least this near make a pair.
        bits: perceptual hashes with at most so many differing bits make a pair, unless the features contradict.
        sheet: write a contact sheet of the groups here, as PNG.
        page: write the groups here as an HTML page.
        root: where the collection's pictures are now, if they were moved.

    Returns:
        Groups of exact copies, and groups of near duplicates with their pairs.

    Raises:
        CollectionError: the collection cannot be opened.
    """
    from nexus.retrieval.dedupe import dedupe as find_duplicates

    skips = Skips(options["strict"])
    opened = open_collection(collection, options, skips, root)
    found = find_duplicates(opened, near=near, cosine=cosine, bits=bits)
    result = found.model_copy(update={"sheet": sheet, "page": page, "skipped": tuple(skips)})
    if sheet or page:
        _draw(result, collection)
    return result


def _draw(result: DedupeResult, collection: str) -> None:
    from nexus.commands._sheet import draw, row, tile

    rows = [row("exact", [tile(path) for path in group.paths]) for group in result.exact]
    for group in result.near:
        best = max(group.pairs, key=lambda pair: pair.cosine)
        note = f"cosine {best.cosine:.3f}, {best.bits} of 64 bits, found by {' and '.join(best.found_by)}"
        rows.append(row("near", [tile(path) for path in group.paths], note))
    draw(rows, result.sheet, result.page, title=f"duplicates in {collection}")
