"""``nexus visualize``: pictures of what a model sees."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, find, name_of, open_predictor
from nexus.commands._verb import verb
from nexus.errors import InputError
from nexus.results import PcaResult, Skipped

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
    upsample: str = "nearest",
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
    predictor = open_predictor(options)
    if not options["size"]:
        predictor = predictor.at(_whole_patches(predictor.model, SIDE))
    pictures = [picture for picture, _ in zip(find(source, skips), range(most), strict=False)]
    names, tokens, photos = [], [], []
    for batch in predictor.stream(pictures, ("tokens",), progress=options["progress"], keep_pixels=True):
        names += [name_of(pictures[index], index) for index in batch.indices]
        photos += [decoded.pixels for decoded in batch.decoded]
        tokens.append(batch.outputs.get("tokens"))
        for bad in batch.skipped:
            skips(Skipped(source=name_of(pictures[bad.index], bad.index), reason=bad.error.reason))
    if not names:
        raise InputError(f"no picture could be read from {source}")
    found = patch_pca(
        np.concatenate([block for block in tokens if block is not None]), threshold=threshold, invert=invert
    )
    found.render([_photo(pixels) for pixels in photos], upsample=upsample).save(out)
    return PcaResult(
        names=tuple(names),
        picture=out,
        separated=found.separated,
        explained_single=found.explained_single,
        explained_two=found.explained_two,
        skipped=tuple(skips),
    )


def _whole_patches(model: Any, side: int) -> int:
    patch = getattr(model.config, "patch_size", 1)
    return max(1, round(side / patch)) * patch


def _photo(pixels: Any) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)
