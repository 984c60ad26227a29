"""``nexus search``: the pictures most like a picture."""

from __future__ import annotations

import os
from typing import Any

from typing_extensions import Unpack

from nexus.commands._collection import open_collection, predictor_for
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, embed_all, find, name_of
from nexus.commands._verb import verb
from nexus.errors import InputError
from nexus.results import SearchReport, SearchResult

__all__ = ["search"]


@verb
def search(
    collection: str,
    queries: Any,
    *,
    k: int = 5,
    region: tuple[int, int, int, int] | None = None,
    within: str | None = None,
    sheet: str | None = None,
    page: str | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> SearchReport:
    """Find the pictures most like a picture.

    Args:
        collection: a ``.nexus`` folder, or a folder of pictures (indexed into the cache on the fly).
        queries: the picture or pictures to look for.
        k: how many to find for each.
        region: x y width height in pixels of the upright query: look for this part of it only.
        within: find only below this folder, or only paths that match this pattern, relative to the collection's root.
        sheet: write a contact sheet of the results here, as PNG.
        page: write the results here as an HTML page.
        root: where the collection's pictures are now, if they were moved.

    Returns:
        The best matches of each query, best first, with cosine similarity and L2 distance of the features.

    Raises:
        InputError: no query can be read.
        CollectionError: the collection cannot be opened, or was made with other weights.
    """
    skips = Skips(options["strict"])
    opened = open_collection(collection, options, skips, root)
    predictor = predictor_for(opened, options)
    pictures = [(name_of(picture, n), picture) for n, picture in enumerate(find(queries, skips))]
    if region:
        pictures = [(name, _cut(picture, region)) for name, picture in pictures]
    names, vectors = embed_all(predictor, pictures, opened.identity.pooling, opened.identity.layer, skips)
    if not names:
        raise skips.nothing("no query", queries)
    found = opened.hits(opened.search(vectors, k, within=within))
    results = [SearchResult(query=name, hits=tuple(hits)) for name, hits in zip(names, found, strict=True)]
    report = SearchReport(collection=collection, results=tuple(results), sheet=sheet, page=page, skipped=tuple(skips))
    if sheet or page:
        _draw(report)
    return report


def _cut(picture: Any, region: tuple[int, int, int, int]) -> Any:
    """The part of a picture that a region names.

    Raises:
        InputError: the region lies outside.
    """
    from nexus.transforms.image import open_image

    image = open_image(picture)
    x, y, width, height = region
    if min(x, y) < 0 or min(width, height) < 1 or x + width > image.width or y + height > image.height:
        raise InputError(
            f"region {x} {y} {width} {height} is not inside the picture, which is {image.width}x{image.height}"
        )
    return image.crop((x, y, x + width, y + height))


def _draw(report: SearchReport) -> None:
    from nexus.commands._sheet import draw, row, tile

    rows = [
        row(
            os.path.basename(result.query),
            [tile(result.query, badge="query"), *(tile(hit.path, f"{hit.cosine:.3f}") for hit in result.hits)],
        )
        for result in report.results
    ]
    draw(rows, report.sheet, report.page, title=f"search {report.collection}")
