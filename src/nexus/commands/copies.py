"""``nexus copies``: near-copies of protected pictures among suspects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._collection import open_collection, predictor_for
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, find, vectors
from nexus.commands._verb import verb
from nexus.results import CopiesResult, CopyCalibration, Progress, Suspect

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from nexus.engines.predictor import Predictor
    from nexus.retrieval import Collection

__all__ = ["copies"]

MOST_CALIBRATED = 100
"""Pictures that a calibration edits, at most: 4,950 unrelated pairs of originals, and 9,900 for each edit."""


@verb
def copies(
    collection: str,
    suspects: Any,
    *,
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None,
    k: Annotated[int, Field(ge=1)] = 5,
    calibrate: bool = False,
    sheet: str | None = None,
    page: str | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> CopiesResult:
    """Find near-copies of protected pictures among suspects.

    A suspect's score with a protected picture is the larger of the cosine of their features and of the likeness of
    their perceptual hashes: edits that fool one are seen by the other.

    Args:
        collection: the protected pictures: a ``.nexus`` folder, or a folder of pictures.
        suspects: the pictures to be judged, or folders of them.
        threshold: lowest score that is called a copy; by default one that rarely accuses the innocent.
        k: name at most so many protected pictures per suspect.
        calibrate: measure on the protected pictures how often the threshold accuses unrelated ones, and how many
            copies it finds for each of the usual edits.
        sheet: write a contact sheet of the copies here, as PNG.
        page: write the copies here as an HTML page.
        root: where the collection's pictures are now, if they were moved.

    Returns:
        The matches of every suspect.

    Raises:
        InputError: no suspect can be read.
    """
    from nexus.retrieval.copies import THRESHOLD, find_copies

    skips = Skips(options["strict"])
    opened = open_collection(collection, options, skips, root)
    predictor = predictor_for(opened, options)
    threshold = THRESHOLD if threshold is None else threshold
    judged: list[Suspect] = []
    pictures = list(find(suspects, skips))
    pooling, layer = opened.identity.pooling, opened.identity.layer
    for batch, block in vectors(predictor, pictures, pooling, layer, total=len(pictures), progress=options["progress"]):
        skips.decoded(batch.skipped)
        if batch.indices:
            found = find_copies(opened, block, _hashes(batch.decoded), threshold=threshold, k=k)
            pairs = zip(batch.decoded, found, strict=True)
            judged += [Suspect(path=decoded.source, matches=matches) for decoded, matches in pairs]
    if not judged:
        raise skips.nothing("no suspect", suspects)
    measured = _calibrate(opened, predictor, threshold, options["progress"]) if calibrate else None
    result = CopiesResult(
        collection=collection,
        threshold=threshold,
        suspects=tuple(judged),
        calibration=measured,
        sheet=sheet,
        page=page,
        skipped=tuple(skips),
    )
    if sheet or page:
        _draw(result)
    return result


def _hashes(decoded: Sequence[Any]) -> np.ndarray:
    import numpy as np

    return np.array([one.phash for one in decoded], dtype=np.uint64)


def _calibrate(
    collection: Collection, predictor: Predictor, threshold: float, progress: Progress | None
) -> CopyCalibration:
    """Edit a sample of the protected pictures in every usual way; known duplicates are not counted as unrelated."""
    import numpy as np

    from nexus.retrieval.copies import calibrate
    from nexus.retrieval.dedupe import dedupe
    from nexus.transforms.edits import EDITS
    from nexus.transforms.image import open_image

    step = max(1, collection.count // MOST_CALIBRATED)
    paths = collection.paths[::step][:MOST_CALIBRATED]
    found, same = dedupe(collection), {path: path for path in paths}
    for alike in [exact.paths for exact in found.exact] + [near.paths for near in found.near]:
        same.update((path, alike[0]) for path in alike)

    def describe(pictures: Sequence[Image]) -> tuple[np.ndarray, np.ndarray]:
        made = collection.identity
        blocks = list(vectors(predictor, pictures, made.pooling, made.layer, total=len(pictures), progress=progress))
        hashes = np.concatenate([_hashes(batch.decoded) for batch, _ in blocks])
        return np.concatenate([block for _, block in blocks]), hashes

    pictures = [open_image(path) for path in paths]
    return calibrate(pictures, describe, EDITS, threshold=threshold, groups=[same[path] for path in paths])


def _draw(result: CopiesResult) -> None:
    from nexus.commands._sheet import draw, row, tile

    rows = []
    for suspect in result.suspects:
        matches = [tile(match.path, f"score {match.score:.3f}") for match in suspect.matches]
        if matches:
            rows.append(row("copy of", [tile(suspect.path, badge="suspect"), *matches]))
    draw(rows, result.sheet, result.page, title=f"copies of {result.collection}")
