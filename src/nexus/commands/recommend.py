"""``nexus recommend``: more like these, less like those."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._collection import open_collection, predictor_for
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, embed_all, find, name_of
from nexus.commands._verb import verb
from nexus.errors import InputError
from nexus.results import RecommendResult

__all__ = ["recommend"]


@verb
def recommend(
    collection: str,
    *,
    like: Sequence[Any],
    dislike: Sequence[Any] = (),
    k: Annotated[int, Field(ge=1)] = 10,
    sheet: str | None = None,
    page: str | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> RecommendResult:
    """Rank pictures by examples that are liked and disliked.

    Args:
        collection: a ``.nexus`` folder, or a folder of pictures (indexed into the cache on the fly).
        like: pictures, in the collection or not; say it once per picture.
        dislike: pictures; each counts half as much as a liked one.
        k: how many to recommend.
        sheet: write a contact sheet here, as PNG.
        page: write an HTML page here.
        root: where the collection's pictures are now, if they were moved.

    Returns:
        The best pictures that are neither examples nor copies of them.

    Raises:
        InputError: no example can be read, or likes and dislikes cancel.
    """
    from nexus.retrieval.recommend import recommend as rank

    skips = Skips(options["strict"])
    opened = open_collection(collection, options, skips, root)
    predictor = predictor_for(opened, options)
    pooling, layer = opened.identity.pooling, opened.identity.layer
    names, blocks = [], []
    for examples in (like, dislike):
        named = [(name_of(one, n), one) for n, one in enumerate(find(list(examples), skips))]
        read, vectors = embed_all(predictor, named, pooling, layer, skips)
        names.append(read)
        blocks.append(vectors)
    if not names[0]:
        raise InputError(f"none of the liked pictures could be read: {', '.join(map(str, like)) or 'none was given'}")
    places = (opened.position(os.path.abspath(name)) for name in (*names[0], *names[1]))
    known = {place for place in places if place is not None}
    ranked = rank(opened, blocks[0], blocks[1], k=k, exclude=known)
    result = RecommendResult(
        likes=tuple(names[0]),
        dislikes=tuple(names[1]),
        recommendations=tuple(ranked),
        sheet=sheet,
        page=page,
        skipped=tuple(skips),
    )
    if sheet or page:
        _draw(result, collection)
    return result


def _draw(result: RecommendResult, collection: str) -> None:
    from nexus.commands._sheet import draw, row, tile

    rows = [row("liked", [tile(path, badge="liked") for path in result.likes])]
    if result.dislikes:
        rows.append(row("disliked", [tile(path, badge="disliked") for path in result.dislikes]))
    rows.append(row("recommended", [tile(one.path, f"{one.score:.3f}") for one in result.recommendations]))
    draw(rows, result.sheet, result.page, title=f"recommended from {collection}")
