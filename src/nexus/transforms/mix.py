"""MixUp, CutMix and Random Erasing, on normalised batches. What happens to a sample follows from its seed alone."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from nexus._seeds import generator
from nexus.config import Config

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["ErasingConfig", "MixConfig", "mix", "random_erasing"]

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

MIXING, ERASING = 1, 2
"""What a generator of a sample is for, beside its augmentation."""

ATTEMPTS = 10


class MixConfig(Config):
    """How two samples of a batch are blended, pictures and labels.

    The defaults are DeiT's (Touvron et al. 2020, "Training data-efficient image transformers", table 9).

    Attributes:
        mixup_alpha: of MixUp (Zhang et al. 2017), whose share is drawn from Beta(alpha, alpha); 0: no MixUp.
        cutmix_alpha: of CutMix (Yun et al. 2019), likewise.
        probability: that a pair is mixed at all.
        switch_probability: that it is by CutMix, where both are on.
    """

    mixup_alpha: Amount = 0.8
    cutmix_alpha: Amount = 1.0
    probability: Share = 1.0
    switch_probability: Share = 0.5

    @property
    def active(self) -> bool:
        """Whether anything is ever mixed."""
        return self.probability > 0 and (self.mixup_alpha > 0 or self.cutmix_alpha > 0)


class ErasingConfig(Config):
    """How a rectangle of a picture is erased (Zhong et al. 2017, "Random Erasing Data Augmentation").

    Probability and mode are DeiT's, area and aspect timm's.

    Attributes:
        probability: that a picture loses a rectangle; 0: none does.
        mode: ``"pixel"``: normal noise takes its place, drawn for each pixel; ``"const"``: 0, which is the mean colour.
        scale: share of the picture's area, from and to.
        ratio: height over width, from and to, log-uniform.
    """

    probability: Share = 0.25
    mode: Literal["pixel", "const"] = "pixel"
    scale: tuple[Share, Share] = (0.02, 1 / 3)
    ratio: tuple[Positive, Positive] = (0.3, 1 / 0.3)

    @model_validator(mode="after")
    def _ordered(self) -> ErasingConfig:
        for name, bounds in (("scale", self.scale), ("ratio", self.ratio)):
            if bounds[0] > bounds[1]:
                raise ValueError(f"{name} = {bounds}: the first must not exceed the second")
        return self


class Blend(NamedTuple):
    """How each of a pair is mixed with the other.

    Attributes:
        pixels: share of the own picture outside the box.
        label: share of the own label; of CutMix, exactly the area that stays.
        box: (top, bottom, left, right) that CutMix takes from the other; empty in MixUp.
    """

    pixels: float = 1.0
    label: float = 1.0
    box: tuple[int, int, int, int] = (0, 0, 0, 0)


def mix(
    images: Float[Tensor, "b 3 h w"],
    targets: Float[Tensor, "b k"],
    seeds: Int[Tensor, " b"],
    partners: Int[Tensor, " b"],
    config: MixConfig,
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b k"]]:
    """Mix each sample with its partner, by MixUp or CutMix.

    What happens to a pair is drawn from the smaller of its two seeds, so that both agree, and neither the rest of the
    batch nor the process matters.

    Args:
        images: normalised.
        targets: a share of each class (one-hot, smoothed, or 0 and 1 for several labels).
        seeds, partners: see `Samples`; a sample that is its own partner stays as it is.
        config: what to do.

    Returns:
        Mixed images and targets, in new tensors.
    """
    height, width = images.shape[2:]
    own, others = seeds.tolist(), partners.tolist()
    blends = [
        Blend() if other == place else draw_blend(min(own[place], own[other]), (height, width), config)
        for place, other in enumerate(others)
    ]
    other = partners.to(images.device)
    pixels = torch.tensor([blend.pixels for blend in blends], dtype=torch.float64).to(images)[:, None, None, None]
    boxes = torch.tensor([blend.box for blend in blends], dtype=torch.int64, device=images.device).view(-1, 4)
    theirs = images[other]
    mixed = torch.where(inside(boxes, height, width), theirs, images * pixels + theirs * (1 - pixels))
    label = torch.tensor([blend.label for blend in blends], dtype=torch.float64).to(targets)[:, None]
    return mixed, targets * label + targets[other.to(targets.device)] * (1 - label)


def draw_blend(seed: int, size: tuple[int, int], config: MixConfig) -> Blend:
    """Draw what happens to a pair of pictures of one (height, width)."""
    rng = generator(seed, MIXING)
    chance, switch = rng.random(2)
    if not config.active or chance >= config.probability:
        return Blend()
    if config.cutmix_alpha == 0 or (config.mixup_alpha > 0 and switch >= config.switch_probability):
        share = rng.beta(config.mixup_alpha, config.mixup_alpha)
        return Blend(pixels=share, label=share)
    box = cutmix_box(rng.beta(config.cutmix_alpha, config.cutmix_alpha), size, rng)
    top, bottom, left, right = box
    return Blend(label=1 - (bottom - top) * (right - left) / (size[0] * size[1]), box=box)


def cutmix_box(share: float, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of the box that another picture fills.

    Its centre is uniform over the picture and its sides are those of the picture times ``sqrt(1 - share)`` (Yun et al.
    2019, equation 2); what lies outside is cut off, so that the picture keeps `share` of its area or more.
    """
    height, width = (int(side * sqrt(1 - share)) for side in size)
    row, column = (int(rng.integers(side)) for side in size)
    top, left = row - height // 2, column - width // 2
    return max(top, 0), min(top + height, size[0]), max(left, 0), min(left + width, size[1])


def inside(boxes: Int[Tensor, "b 4"], height: int, width: int) -> Tensor:
    """Return which pixels lie in each picture's box, (b, 1, height, width)."""
    top, bottom, left, right = boxes[:, :, None].unbind(1)  # (b, 1) each
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def random_erasing(
    images: Float[Tensor, "b 3 h w"], seeds: Int[Tensor, " b"], config: ErasingConfig
) -> Float[Tensor, "b 3 h w"]:
    """Erase a rectangle of some pictures; to be done before they are mixed.

    Args:
        images: normalised; changed in place.
        seeds: see `Samples`.
        config: what to do.

    Returns:
        The images.
    """
    height, width = images.shape[2:]
    for image, seed in zip(images, seeds.tolist(), strict=True):
        rng = generator(seed, ERASING)
        if rng.random() >= config.probability:
            continue
        box = erased_box((height, width), config, rng)
        if box is not None:
            top, bottom, left, right = box
            image[:, top:bottom, left:right] = _filling(config.mode, bottom - top, right - left, rng).to(image)
    return images


def erased_box(
    size: tuple[int, int], config: ErasingConfig, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Return (top, bottom, left, right) of the first attempt within the picture (algorithm 1), or None."""
    for _ in range(ATTEMPTS):
        area = size[0] * size[1] * rng.uniform(*config.scale)
        aspect = exp(rng.uniform(log(config.ratio[0]), log(config.ratio[1])))
        height, width = round(sqrt(area * aspect)), round(sqrt(area / aspect))
        if height < size[0] and width < size[1]:
            top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
            return top, top + height, left, left + width
    return None


def _filling(mode: str, height: int, width: int, rng: np.random.Generator) -> Tensor:
    if mode == "const":
        return torch.zeros(())
    return torch.from_numpy(rng.standard_normal((3, height, width), np.float32))
