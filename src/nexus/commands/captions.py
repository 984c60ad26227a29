"""``nexus captions``: the texts that describe a picture best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._options import DEFAULT_TEXT_MODEL, RunOptions
from nexus.commands._predictor import Skips, find, name_of, open_predictor, vectors
from nexus.commands._texts import lines_of
from nexus.commands._verb import verb
from nexus.errors import ConfigError
from nexus.results import Caption, CaptionedPicture, CaptionsResult

if TYPE_CHECKING:
    import numpy as np

    from nexus.evaluation import ZeroShotClassifier

__all__ = ["captions"]


@verb
def captions(
    source: Any,
    *,
    text: Sequence[str] | str = (),
    texts: str | None = None,
    top_k: Annotated[int, Field(ge=1)] = 5,
    sheet: str | None = None,
    page: str | None = None,
    **options: Unpack[RunOptions],
) -> CaptionsResult:
    """Rank texts by how well they describe a picture.

    Args:
        source: pictures, or folders of them.
        text: a text; say it once per text.
        texts: a file with one text per line.
        top_k: how many texts to give for each picture.
        sheet: write the pictures with their texts here, as PNG.
        page: write them here as an HTML page.

    Returns:
        The best texts of each picture, best first, with the cosine similarity of the vectors and the probability that
        the model makes of it.

    Raises:
        ConfigError: no text.
        InputError: no picture can be read, or the model reads no text (`nexus models --task zero-shot`).
    """
    from nexus.evaluation import ZeroShotClassifier

    given = [text] if isinstance(text, str) else list(text)
    given += lines_of(texts) if texts is not None else []
    if not given:
        raise ConfigError("say text= (a caption, once per caption) or texts= (a file with one per line)")
    skips = Skips(options["strict"])
    model = DEFAULT_TEXT_MODEL if options["model"] is None else options["model"]
    predictor = open_predictor({**options, "model": model})
    distinct = list({one.strip().casefold(): one for one in reversed(given)}.values())[::-1]
    classifier = ZeroShotClassifier(predictor, distinct, "none", progress=options["progress"])
    pictures, ranked = list(find(source, skips)), list[CaptionedPicture]()
    for batch, block in vectors(predictor, pictures, "cls", None, total=len(pictures), progress=options["progress"]):
        skips.decoded(batch.skipped)
        if batch.indices:
            names = [name_of(pictures[index], index) for index in batch.indices]
            ranked += _rank(classifier, names, block, top_k)
    if not ranked:
        raise skips.nothing("no picture", source)
    result = CaptionsResult(
        model=predictor.name,
        count=len(distinct),
        pictures=tuple(ranked),
        sheet=sheet,
        page=page,
        skipped=tuple(skips),
    )
    if sheet or page:
        _draw(result)
    return result


def _rank(
    classifier: ZeroShotClassifier, names: Sequence[str], block: np.ndarray, top_k: int
) -> list[CaptionedPicture]:
    ranked = []
    for name, cosines, scores in zip(names, classifier.cosines(block), classifier.probabilities(block), strict=True):
        best = (-cosines).argsort(kind="stable")[:top_k]
        found = (
            Caption(text=classifier.classes[n], index=int(n), cosine=float(cosines[n]), score=float(scores[n]))
            for n in best
        )
        ranked.append(CaptionedPicture(source=name, captions=tuple(found)))
    return ranked


def _draw(result: CaptionsResult) -> None:
    from nexus.commands._sheet import draw, row, tile

    rows = []
    for picture in result.pictures:
        first, *others = (f"{one.text} ({one.cosine:.3f})" for one in picture.captions[:2])
        rows.append(row(first, [tile(picture.source)], f"then {others[0]}" if others else ""))
    draw(rows, result.sheet, result.page, title=f"best of {result.count} texts by {result.model}")
