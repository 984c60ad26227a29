"""``nexus search``: the pictures most like a picture, or a text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._collection import open_collection, predictor_for
from nexus.commands._options import DEFAULT_MODEL, DEFAULT_TEXT_MODEL, RunOptions
from nexus.commands._predictor import Skips, embed_all, find, name_of
from nexus.commands._verb import verb
from nexus.errors import ConfigError, ImageError, InputError
from nexus.results import SearchReport, SearchResult, Skipped, printable

if TYPE_CHECKING:
    import numpy as np

    from nexus.engines.predictor import Predictor
    from nexus.retrieval.collection import Collection

__all__ = ["search"]


@verb
def search(
    collection: str,
    queries: Any = None,
    *,
    text: Sequence[str] | str = (),
    k: Annotated[int, Field(ge=1)] = 5,
    region: tuple[int, int, int, int] | None = None,
    within: str | None = None,
    sheet: str | None = None,
    page: str | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> SearchReport:
    """Find the pictures most like a picture, or a text.

    Args:
        collection: a ``.nexus`` folder, or a folder of pictures (indexed into the cache on the fly).
        queries: the picture or pictures to look for.
        text: what to look for in words, e.g. ``a red bus``; say it once per text. The collection must have been made
            with a model that reads text (`nexus models --task zero-shot`).
        k: how many to find for each.
        region: x y width height in pixels of the upright query: look for this part of it only.
        within: find only below this folder, or only paths that match this pattern, relative to the collection's root.
        sheet: write a contact sheet of the results here, as PNG.
        page: write the results here as an HTML page.
        root: where the collection's pictures are now, if they were moved.

    Returns:
        The best matches of each query, best first, pictures before texts, with cosine similarity and L2 distance of
        the features.

    Raises:
        ConfigError: neither a picture nor a text to look for.
        InputError: no query can be read, a region is not inside its picture, or a text is empty or the collection's
            model reads none.
        CollectionError: the collection cannot be opened, or was made with other weights.
    """
    skips, texts = Skips(options["strict"]), [one.strip() for one in ([text] if isinstance(text, str) else text)]
    if queries is None and not texts:
        raise ConfigError("say what to look for: a picture, or text= (a few words)")
    if queries is None and region:
        raise ConfigError("region is a part of a picture: say of which")
    if "" in texts:
        raise InputError(f"text number {texts.index('') + 1} is empty; leave it out")
    default = DEFAULT_TEXT_MODEL if texts else DEFAULT_MODEL
    opened = open_collection(collection, options, skips, root, default)
    predictor = predictor_for(opened, options)
    results = []
    if queries is not None:
        pictures = [(name_of(picture, n), picture) for n, picture in enumerate(find(queries, skips))]
        if region:
            pictures = list(_cut(pictures, region, skips))
        names, vectors = embed_all(predictor, pictures, opened.identity.pooling, opened.identity.layer, skips)
        if not names:
            raise skips.nothing("no query", queries)
        results += _look_for(opened, names, vectors, k, within, is_text=False)
    if texts:
        results += _look_for(opened, texts, _read(opened, predictor, texts), k, within, is_text=True)
    report = SearchReport(collection=collection, results=tuple(results), sheet=sheet, page=page, skipped=tuple(skips))
    if sheet or page:
        _draw(report)
    return report


def _look_for(
    opened: Collection, names: Sequence[str], vectors: np.ndarray, k: int, within: str | None, *, is_text: bool
) -> list[SearchResult]:
    found = opened.hits(opened.search(vectors, k, within=within))
    return [
        SearchResult(query=name, is_text=is_text, hits=tuple(hits)) for name, hits in zip(names, found, strict=True)
    ]


def _read(opened: Collection, predictor: Predictor, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts, if they can be compared with those of the collection.

    Raises:
        InputError: they cannot.
    """
    again = f"Index the pictures again: nexus index FOLDER --out NEW.nexus --model {DEFAULT_TEXT_MODEL}"
    if not predictor.reads_text:
        raise InputError(
            f"{opened.folder} was made with {predictor.name}, which reads no text. {again}, or with another model that "
            "`nexus models --task zero-shot` lists"
        )
    if (opened.identity.pooling, opened.identity.layer) != ("cls", None):
        layer = "" if opened.identity.layer is None else f" of layer {opened.identity.layer}"
        raise InputError(
            f"{opened.folder} holds {opened.identity.pooling!r} features{layer}, with which texts cannot be compared. "
            f"{again}, and leave out pooling and layer"
        )
    return predictor.embed_text(texts)


def _cut(
    pictures: Iterable[tuple[str, Any]], region: tuple[int, int, int, int], skips: Skips
) -> Iterator[tuple[str, Any]]:
    """The part that a region names of each picture that can be read.

    Raises:
        InputError: the region lies outside.
    """
    from nexus.transforms.image import open_image

    x, y, width, height = region
    for name, picture in pictures:
        try:
            image = open_image(picture)
        except ImageError as error:
            skips(Skipped(source=name, reason=error.reason))
            continue
        if min(x, y) < 0 or min(width, height) < 1 or x + width > image.width or y + height > image.height:
            size = f"{image.width}x{image.height}"
            raise InputError(f"region {x} {y} {width} {height} is not inside {printable(name)}, which is {size}")
        yield name, image.crop((x, y, x + width, y + height))


def _draw(report: SearchReport) -> None:
    from nexus.commands._sheet import draw, row, tile

    rows = []
    for result in report.results:
        tiles = [tile(hit.path, f"{hit.cosine:.3f}") for hit in result.hits]
        if result.is_text:
            rows.append(row(f"“{result.query}”", tiles))
        else:
            rows.append(row(os.path.basename(result.query), [tile(result.query, badge="query"), *tiles]))
    draw(rows, report.sheet, report.page, title=f"search {report.collection}")
