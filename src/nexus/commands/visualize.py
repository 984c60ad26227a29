"""``nexus visualize``: pictures of what a model sees."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, find, name_of, open_predictor
from nexus.commands._verb import verb
from nexus.results import PcaResult

if TYPE_CHECKING:
    from PIL.Image import Image

    from nexus.engines.predictor import Predictor
    from nexus.transforms.preprocess import PreprocessSpec

__all__ = ["visualize_pca"]

SIDE = 518
"""The side at which DINOv2's authors show its features."""


@verb
def visualize_pca(
    source: Any,
    *,
    out: str = "pca.png",
    most: int = 8,
    threshold: float | None = None,
    invert: bool = False,
    upsample: Literal["nearest", "bicubic"] = "nearest",
    **options: Unpack[RunOptions],
) -> PcaResult:
    """Show what the model sees: patch features as colours.

    Principal components in two steps, as in DINOv2's paper: the first component separates the object from the
    background, the next analysis, of the object alone, gives the colours. Give one picture, or several of the same
    kind of thing: the same part then has the same colour in each.

    Args:
        source: pictures, or a folder of them.
        out: where to write the PNG.
        most: take at most this many pictures.
        threshold: border between object and background on the first component, in standard deviations; by default
            found in the data.
        invert: take the other side as the object.
        upsample: ``nearest`` shows every patch as a square; ``bicubic`` is smoother and invents values between them.

    Returns:
        Where the picture is, and the share of the variance that its colours explain.

    Raises:
        InputError: no picture can be read, or the model gives no patch tokens.
    """
    import numpy as np

    from nexus.visualization.feature_pca import patch_pca

    skips = Skips(options["strict"])
    predictor = _at_side(open_predictor(options), options)
    pictures = list(islice(find(source, skips), most))
    names, tokens, photos = [], [], []
    for batch in predictor.stream(pictures, ("tokens",), progress=options["progress"]):
        names += [name_of(pictures[index], index) for index in batch.indices]
        photos += [_as_seen(pictures[index], predictor.preprocess) for index in batch.indices]
        tokens += [batch.outputs["tokens"]] if batch.indices else []
        skips.decoded(batch.skipped)
    if not names:
        raise skips.nothing("no picture", source)
    found = patch_pca(np.concatenate(tokens), threshold=threshold, invert=invert)
    found.render(photos, upsample=upsample).save(out)
    return PcaResult(
        names=tuple(names),
        picture=out,
        separated=found.separated,
        explained_single=found.explained_single,
        explained_two=found.explained_two,
        skipped=tuple(skips),
    )


def _at_side(predictor: Predictor, options: Mapping[str, Any]) -> Predictor:
    """The predictor at the side that shows most, unless the user chose one."""
    if options["size"]:
        return predictor
    patch = getattr(predictor.model.config, "patch_size", 1)
    side = max(1, round(SIDE / patch)) * patch
    spec = predictor.preprocess.replace(resize=side, crop=(side, side))  # the whole of the shorter side is seen
    return predictor.like(preprocess=spec)


def _as_seen(picture: Any, spec: PreprocessSpec) -> Image:
    """The part of a picture that the model sees."""
    from PIL.Image import fromarray

    from nexus.transforms.image import open_image
    from nexus.transforms.preprocess import apply

    return fromarray(apply(open_image(picture), spec))
