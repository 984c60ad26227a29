"""`AugmentConfig` and `augment`: random views of a picture for training, on Pillow's own operations.

torchvision and kornia offer these on tensors, or with torch beside them: the processes that decode would have to import
it. `transforms/_view.py` and `_policies.py` do the work with Pillow and NumPy alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field, model_validator

from nexus.config import Config
from nexus.transforms._policies import MAX_MAGNITUDE
from nexus.transforms._view import View
from nexus.transforms.image import Picture
from nexus.transforms.preprocess import PreprocessSpec, geometry

__all__ = ["AugmentConfig", "augment"]

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class AugmentConfig(Config):
    """How a picture is changed at random before it is trained on.

    The steps, in order: random resized crop, horizontal flip, policy, colour jitter. Without arguments: crop and flip,
    as in torchvision's reference recipe for classification. Where the spec's `decode` is ``"scaled"``, a large JPEG is
    decoded smaller as far as the crop keeps a pixel for each of the view.

    Attributes:
        scale: share of the picture's area that the crop keeps, from and to (Szegedy et al. 2014, "Going deeper with
            convolutions", section 6); None: the resize and the centre crop of the evaluation transform.
        ratio: width over height of the crop, from and to, log-uniform.
        flip: probability to mirror left and right.
        policy: ``"randaugment"`` (Cubuk et al. 2019) or ``"trivialaugment"`` (Müller & Hutter 2021, the wide ranges),
            with torchvision's operations, ranges and defaults; what comes in from outside is black.
        num_ops, magnitude: of RandAugment: how many operations, and how strong, 0 to 30.
        magnitude_std: standard deviation of RandAugment's magnitude, drawn for each operation. The ``rand-m9-mstd0.5``
            of timm has 0.5, on a scale where 10 is the strongest.
        brightness, contrast, saturation: by how much they vary: the factor is uniform within 1 ± amount. 0: not at all.
            timm takes 0.4 for each where there is no policy.
        hue: by how much the hue turns, of a full turn, in either direction; at most 0.5.
    """

    scale: tuple[Share, Share] | None = (0.08, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    flip: Share = 0.5
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    num_ops: Annotated[int, Field(ge=1)] = 2
    magnitude: Annotated[float, Field(ge=0, le=MAX_MAGNITUDE)] = 9.0
    magnitude_std: Amount = 0.0
    brightness: Amount = 0.0
    contrast: Amount = 0.0
    saturation: Amount = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> AugmentConfig:
        for name, bounds in (("scale", self.scale), ("ratio", self.ratio)):
            if bounds is not None and bounds[0] > bounds[1]:
                raise ValueError(f"{name} = {bounds}: the first must not exceed the second")
        if self.scale is not None and self.scale[1] == 0:
            raise ValueError(f"scale = {self.scale}: a crop must keep something")
        return self

    @classmethod
    def none(cls) -> AugmentConfig:
        """Return the config that changes nothing: the evaluation transform."""
        return cls(scale=None, flip=0.0)


def augment(
    picture: Image.Image,
    spec: PreprocessSpec,
    config: AugmentConfig,
    rng: np.random.Generator,
    size: int | None = None,
) -> np.ndarray:
    """Return a random view of a picture.

    Args:
        picture: upright, 8-bit RGB, of any size.
        spec: the model's; its size and interpolation are read here, and with ``scale=None`` all of its geometry.
        config: what to do.
        rng: where all chance comes from.
        size: side of the view; None: the spec's.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    view = View(config.to_dict(), rng, **geometry(spec if size is None else spec.at(size)))
    return np.asarray(view.render(Picture(picture, picture.size, None)))
