"""The DINOv2 patch picture: principal components of patch features as colours, in two steps.

Source: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (arXiv 2304.07193), figure 1: the
first component over all patches separates the object from the background; a second analysis of the object's patches
alone gives three components, shown as red, green and blue. The same part has the same colour in every image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from nexus.errors import InputError
from nexus.visualization._canvas import LIGHT, Palette, draw_table
from nexus.visualization._grid import grid_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Components", "PatchPCA", "otsu_threshold", "patch_pca", "principal_components"]


@dataclass(frozen=True, slots=True)
class Components:
    """The principal components of a cloud of vectors.

    Attributes:
        mean: (D,) of the vectors that the components were fitted to.
        vectors: (K, D) orthonormal rows, largest variance first. The sign is fixed: the entry that is largest in
            absolute value is positive.
        explained: (K,) share of the total variance, 0..1; zeros where the vectors do not vary.
    """

    mean: Tensor
    vectors: Tensor
    explained: Tensor

    def project(self, x: Tensor) -> Tensor:
        """Return the scores (M, K) of vectors (M, D)."""
        return (x.to(self.mean) - self.mean) @ self.vectors.T


@dataclass(frozen=True, slots=True)
class PatchPCA:
    """What `patch_pca` found in B images of h x w patches.

    Attributes:
        single_step: (B, h, w, 3) float32 in 0..1, the first three components of all patches as colours.
        two_step: (B, h, w, 3) float32 in 0..1, those of the foreground's patches alone; the background is 0 (black).
        foreground: (B, h, w) bool.
        separated: False where no background was found (equal features, or all patches on one side of the threshold):
            everything is foreground then.
        explained_single: (3,) share of the variance of all patches that each shown component explains.
        explained_two: (3,) the same within the foreground.
    """

    single_step: NDArray[np.float32]
    two_step: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    separated: bool
    explained_single: NDArray[np.float32]
    explained_two: NDArray[np.float32]

    def render(
        self,
        photos: Sequence[Image.Image],
        *,
        side: int = 296,
        upsample: str = "nearest",
        captions: Sequence[str] = (),
        palette: Palette = LIGHT,
    ) -> Image.Image:
        """Draw one row per image: the photograph, the single-step and the two-step components.

        Args:
            photos: B pictures as the model saw them (after resize and crop), so that patches and pixels agree.
            side: longer side of every panel, in pixels.
            upsample: ``"nearest"`` shows every patch as a square, as measured; ``"bicubic"`` is smoother to look at
                and invents values between patches.
            captions: B names written under the photographs, or none.
            palette: colours of the page.

        Raises:
            InputError: the number of photographs or captions is not B, or `upsample` is neither name.
        """
        count, rows, columns = self.foreground.shape
        if len(photos) != count or len(captions) not in (0, count):
            raise InputError(
                f"{count} images were analysed, but {len(photos)} photos and {len(captions)} captions given"
            )
        filters = {"nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}
        if upsample not in filters:
            raise InputError(f"upsample={upsample!r} is not one of {', '.join(map(repr, filters))}")
        scale = side / max(rows, columns)
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))

        def enlarge(colours: NDArray[np.float32]) -> Image.Image:
            return Image.fromarray((colours * 255).round().astype(np.uint8)).resize(size, filters[upsample])

        panels = [
            [photo.convert("RGB").resize(size, Image.Resampling.LANCZOS), enlarge(single), enlarge(two)]
            for photo, single, two in zip(photos, self.single_step, self.two_step)
        ]
        heads = (
            ("Photograph", "as the model sees it"),
            ("One step", f"all patches: {_percent(self.explained_single)}"),
            (
                "Two steps",
                f"foreground alone: {_percent(self.explained_two)}" if self.separated else "no background found",
            ),
        )
        return draw_table(panels, heads=heads, captions=captions, palette=palette)


def patch_pca(
    tokens: Tensor | NDArray[np.floating],
    grid: tuple[int, int] | None = None,
    *,
    threshold: float | None = None,
    invert: bool = False,
    percentiles: tuple[float, float] = (1.0, 99.0),
) -> PatchPCA:
    """Find the object and colour its parts.

    All images are analysed together, so give one image, or several of the same kind of thing: then the same part has
    the same colour in each. Which side of the first component is the foreground is a convention, since the sign of a
    component means nothing. The rule here: the foreground is the side that takes a smaller share of the patches on the
    images' borders than of those inside. `invert` takes the other side where an object fills the border.

    Args:
        tokens: (B, N, D) final patch tokens (the output ``tokens``), row by row, without class or register tokens.
        grid: (h, w) of the patches, h * w = N; None for a square grid.
        threshold: border between the two sides of the first component, in its standard deviations from the mean;
            0.0 is the paper's rule. None takes Otsu's threshold, which finds the gap also where the object is small.
        invert: take the other side as the foreground.
        percentiles: of each component, over the patches shown, that become 0 and 1; (0, 100) is the full range.

    Raises:
        InputError: `tokens` is not (B, N, D) of finite values, or `grid` does not hold N patches.
    """
    features = torch.as_tensor(tokens).detach().to("cpu", torch.float64)
    if features.ndim != 3 or 0 in features.shape:
        raise InputError(f"tokens must be (images, patches, channels), got the shape {tuple(features.shape)}")
    if not bool(torch.isfinite(features).all()):
        raise InputError("tokens hold NaN or infinite values")
    count, patches, _ = features.shape
    rows, columns = grid_of(patches, grid)
    flat = features.flatten(0, 1)

    everything = principal_components(flat, 3)
    scores = everything.project(flat)
    first = scores[:, 0].reshape(count, rows, columns).numpy()
    foreground, separated = _foreground(first, threshold, invert)

    inside = torch.from_numpy(foreground.reshape(-1))
    parts = principal_components(flat[inside], 3)
    colours = torch.zeros(len(flat), 3, dtype=torch.float64)
    colours[inside] = _to_unit(parts.project(flat[inside]), percentiles)

    shape = (count, rows, columns, 3)
    return PatchPCA(
        single_step=_to_unit(scores, percentiles).reshape(shape).float().numpy(),
        two_step=colours.reshape(shape).float().numpy(),
        foreground=foreground,
        separated=separated,
        explained_single=everything.explained.float().numpy(),
        explained_two=parts.explained.float().numpy(),
    )


def principal_components(x: Tensor, count: int) -> Components:
    """Fit principal components through the eigenvectors of the covariance, in float64.

    Args:
        x: (M, D) vectors.
        count: number of components; those beyond min(M - 1, D), which no data supports, are zero vectors.

    Raises:
        InputError: `x` is not (M, D) with M and D at least 1.
    """
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(f"principal components need (vectors, channels), got the shape {tuple(x.shape)}")
    x = x.double()
    mean = x.mean(0)
    centred = x - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred)  # ascending; vectors in columns
    values, vectors = values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count].T
    total = centred.square().sum()
    # Rounding leaves a trace of variance in equal vectors and in directions that nothing spans: not a component.
    floor = torch.finfo(torch.float64).eps * x.square().sum() * x.shape[1]
    real = values > floor
    peak = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    vectors = torch.where(real[:, None], vectors * peak.sign(), 0.0)
    explained = torch.where(real, values / total, 0.0)
    missing = count - len(values)
    return Components(
        mean=mean,
        vectors=torch.nn.functional.pad(vectors, (0, 0, 0, missing)),
        explained=torch.nn.functional.pad(explained, (0, missing)),
    )


def otsu_threshold(values: NDArray[np.floating], bins: int = 256) -> float:
    """Return the value that splits a histogram in two with the largest variance between the parts.

    Source: Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans. SMC 9(1), 1979.

    Raises:
        InputError: there are no values.
    """
    if values.size == 0:
        raise InputError("Otsu's threshold needs at least one value")
    counts, edges = np.histogram(values, bins=bins)
    centres = (edges[:-1] + edges[1:]) / 2
    below, moment = counts.cumsum(), (counts * centres).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):  # one empty side: no split there
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    between = np.nan_to_num(between, nan=0.0, posinf=0.0)
    best = np.flatnonzero(between == between.max())  # an empty gap makes many equally good splits: take its middle
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2)


def _foreground(first: NDArray[np.floating], threshold: float | None, invert: bool) -> tuple[NDArray[np.bool_], bool]:
    """Return the mask (B, h, w) of the foreground, and whether there are two sides at all."""
    spread = float(first.std())
    cut = otsu_threshold(first) if threshold is None else threshold * spread
    high = first > cut
    if spread == 0 or high.all() or not high.any():
        return np.ones_like(high), False
    border = np.ones(first.shape[1:], dtype=bool)
    border[1:-1, 1:-1] = False
    on_border = high[:, border].mean()
    inside = high[:, ~border].mean() if not border.all() else high.mean()
    # Equal shares say nothing; the smaller side is then the likelier object.
    high_is_object = on_border < inside if on_border != inside else high.mean() <= 0.5
    return (high if high_is_object != invert else ~high), True


def _to_unit(scores: Tensor, percentiles: tuple[float, float]) -> Tensor:
    """Stretch each column to 0..1 between two percentiles; a column that does not vary becomes 0.5."""
    low, high = np.percentile(scores.numpy(), percentiles, axis=0)
    width = torch.from_numpy(high - low)
    stretched = (scores - torch.from_numpy(low)) / width.where(width > 0, 1.0)
    return stretched.clamp(0, 1).where(width > 0, 0.5)


def _percent(shares: NDArray[np.float32]) -> str:
    return " + ".join(f"{100 * share:.0f}" for share in shares) + " %"
