"""``nexus similarity``: how alike some pictures are."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import Unpack

from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, embed_all, find, name_of, open_predictor
from nexus.commands._verb import verb
from nexus.errors import InputError
from nexus.results import SimilarityResult

__all__ = ["similarity"]


@verb
def similarity(
    pictures: Any,
    *,
    pooling: Literal["cls", "mean"] = "cls",
    layer: int | None = None,
    picture: str | None = None,
    **options: Unpack[RunOptions],
) -> SimilarityResult:
    """Compare pictures with each other.

    Args:
        pictures: two or more pictures, or folders of them.
        pooling: compare the class token, or the mean of the patches.
        layer: block whose features are compared; by default the final ones.
        picture: write the matrix here as a PNG, with thumbnails along its sides.

    Returns:
        The matrix of cosine similarities and the matrix of L2 distances, in the order of the names.

    Raises:
        InputError: fewer than two pictures can be read.
    """
    import numpy as np

    skips = Skips(options["strict"])
    predictor = open_predictor(options)
    named = [(name_of(one, n), one) for n, one in enumerate(find(pictures, skips))]
    names, vectors = embed_all(predictor, named, pooling, layer, skips, options["progress"])
    if len(names) < 2:
        reasons = "".join(f"; {skipped.source}: {skipped.reason}" for skipped in skips)
        raise InputError(f"two pictures or more are needed to compare, {len(names)} could be read{reasons}")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = np.clip(unit @ unit.T, -1, 1)
    exact = vectors.astype(np.float64)
    squares = (exact**2).sum(1)
    l2 = np.sqrt(np.maximum(squares[:, None] + squares - 2 * exact @ exact.T, 0))
    if picture:
        _draw(dict(named), names, cosine, picture)
    return SimilarityResult(names=tuple(names), cosine=cosine, l2=l2, picture=picture, skipped=tuple(skips))


def _draw(sources: dict[str, Any], names: list[str], cosine: Any, out: str) -> None:
    from nexus.transforms.image import open_image
    from nexus.visualization.similarity_matrix import draw_similarity

    thumbnails = [open_image(sources[name], min_side=256) for name in names]
    draw_similarity(cosine, thumbnails, names=names).save(out)
