"""The worst mistakes of a classifier: where labels are wrong, classes overlap, or the model has not understood."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from PIL import Image

from nexus.transforms.image import EncodedImage, ImageLike, open_image
from nexus.visualization._plot import VERMILION
from nexus.visualization.contact_sheet import THUMBNAIL, ContactSheet, Row, Tile

__all__ = ["Mistake", "worst_mistakes"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What a classifier said of one picture.

    Attributes:
        source: the picture, in any form that `nexus.transforms.open_image` takes.
        true, predicted: names of the classes.
        confidence: probability of `predicted`, 0..1.
        loss: of the picture.
    """

    source: ImageLike
    true: str
    predicted: str
    confidence: float
    loss: float


def worst_mistakes(mistakes: Iterable[Mistake], *, title: str = "Worst mistakes", most: int = 24) -> ContactSheet:
    """Lay out the mistakes of the highest loss: in the corner what was predicted, below what is true.

    Pictures are opened when the sheet is drawn, and only those on it; one that cannot be read is a placeholder.

    Args:
        mistakes: in any order; what was predicted right is left out.
        title: above the page.
        most: how many pictures; further ones are counted.

    Raises:
        InputError: `most` is not positive.
    """
    wrong = sorted((one for one in mistakes if one.true != one.predicted), key=attrgetter("loss"), reverse=True)
    row = Row(
        f"{len(wrong):,} mistaken, highest loss first", [_tile(one) for one in wrong[:most]], more=len(wrong[most:])
    )
    legend = "In the corner what was predicted, and how surely; below what is true."
    return ContactSheet([row], title=title, note=legend, max_tiles=most)


def _tile(mistake: Mistake) -> Tile:
    source = mistake.source
    path = os.fsdecode(source) if isinstance(source, str | os.PathLike) else ""
    name = os.path.basename(source.name if isinstance(source, EncodedImage) else path)
    return Tile(
        image=partial(_opened, source),
        name=mistake.true,
        note=f"loss {mistake.loss:.2f}" + (f": {name}" if name else ""),
        badge=f"{mistake.predicted} {mistake.confidence:.0%}",
        colour=VERMILION,
        link=path,
    )


def _opened(source: ImageLike) -> Image.Image:
    """Open a picture; one of a few pixels, as small data sets have, is enlarged so that it can be seen."""
    image = open_image(source, min_side=THUMBNAIL)
    times = THUMBNAIL // max(image.size)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST) if times > 1 else image
