"""Inception V3, as in Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (arXiv:1512.00567).

Table 1 and figures 5, 6, 7, 8 and 10, with the widths of the authors' TensorFlow code, which the paper does not give.
The modules are in `modules.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import InputError
from nexus.layers import channels_last
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.models.cv.inception.modules import (
    Branches,
    conv_layer,
    factorised_grid,
    large_grid,
    narrow_reduction,
    small_grid,
    wide_reduction,
)
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["InceptionV3", "InceptionV3Config"]

SMALLEST = 75
"""Side in pixels that the convolutions without padding leave one place of."""

SMALLEST_WITH_AUX = 299
"""Side in pixels of which the auxiliary classifier's windows find a place."""


AUX_BLOCK = 7
"""The module that the auxiliary classifier reads, counted from 0: the last of 17x17 places."""


class InceptionV3Config(Config):
    """Config of `InceptionV3`.

    Attributes:
        width_multiplier: scales all widths but those of the auxiliary classifier; none falls below 16 thereby
            (``depth_multiplier`` and ``min_depth`` of the authors' code).
        pool_counts_padding: let the zeros around a map count in the averages of the pooling branches, as PyTorch does;
            TensorFlow's averages leave them out.
        last_pool: pooling branch of the last module; ``"max"`` in the network of the Fréchet Inception distance.
        num_classes: logits of the head; 0 for none.
        aux_classes: logits of the auxiliary classifier (figure 8); 0 for no such classifier; default: as many as
            `num_classes`.
        dropout: rate before the head.
    """

    width_multiplier: float = Field(1.0, gt=0)
    pool_counts_padding: bool = True
    last_pool: Literal["average", "max"] = "average"
    num_classes: NonNegativeInt = 1000
    aux_classes: NonNegativeInt = Field(default_factory=lambda values: values.get("num_classes", 0))
    dropout: float = Field(0.5, ge=0, lt=1)

    def width(self, channels: int) -> int:
        """Channels of a layer that has `channels` of them in the full network."""
        return channels if self.width_multiplier == 1 else max(16, int(channels * self.width_multiplier))


class InceptionV3(WeightInitMixin, NexusModule):
    """An Inception V3.

    Any input size from 75x75 is taken; 299 is that of all weights. Most convolutions are without padding, so that maps
    are a little smaller than the pixels over the stride: 8x8 of 299x299. `features`, every module, are these maps. In
    `pyramid`, the last map at each stride, {4, 8, 16, 32}, their border is repeated on all sides until there is a place
    for every `stride` pixels, as maps of padded networks have, and the places lie over what they saw; `tokens` are the
    last of them in row-major order. `embeddings` (B, 2048): the mean of the last map; `logits` where there is a head.
    In training, `aux` has ``aux_logits``: (B, aux_classes) of the one auxiliary classifier.
    """

    Config = InceptionV3Config

    def __init__(self, config: Mapping[str, Any] | InceptionV3Config) -> None:
        super().__init__(config)
        c: InceptionV3Config = self.config
        self.stem = stem(c)
        modules = stages(c)
        self.stages = nn.ModuleList(nn.Sequential(*stage) for stage in modules)
        self.dropout = nn.Dropout(c.dropout)
        width = modules[-1][-1].width
        self.head: nn.Module = nn.Linear(width, c.num_classes) if c.num_classes else nn.Identity()
        self.aux_head = AuxHead(modules[1][-1].width, c.aux_classes) if c.aux_classes else None
        self.optional_keys = tuple(key for key in self.state_dict() if key.startswith("aux_head."))
        self.init_weights_vision(std=0.1)  # the paper names no initialisation; head: as in the libraries at hand
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # fan-out would blow up what narrow layers make of wide ones
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; an Inception V3 has none.

        Raises:
            InputError: an output that no model has; images that the convolutions leave nothing of; or, in training
                with `aux`, images that the auxiliary classifier finds too small.
        """
        wanted = self.wanted(outputs, output_attentions)
        with_aux = self.training and "aux" in wanted and self.aux_head is not None
        self.check_size(images, with_aux)

        stem = self.stem(channels_last(images))  # (B, 192, H/4, W/4), somewhat less here and below
        x, found = self.run_maps(F.max_pool2d(stem, 3, 2), 8, wanted | {"features"} if with_aux else wanted)
        if "pyramid" in wanted:
            maps = {4: stem, **found["pyramid"]}
            found["pyramid"] = {stride: on_grid(x, images, stride) for stride, x in maps.items()}
        if "tokens" in wanted:
            found["tokens"] = on_grid(x, images, 32).flatten(2).transpose(1, 2)  # (B, HW, C)
        if with_aux:
            assert self.aux_head is not None
            found["aux"] = {"aux_logits": [self.aux_head(found["features"][AUX_BLOCK])]}
        found["embeddings"] = x.mean((2, 3))  # (B, C)
        return self.finish(found, wanted, self.dropout)

    def check_size(self, images: Tensor, with_aux: bool) -> None:
        """Refuse images that are too small."""
        height, width = images.shape[-2:]
        if min(height, width) < SMALLEST:
            raise InputError(
                f"images are {height}x{width} pixels; an InceptionV3 needs {SMALLEST}x{SMALLEST} or more: resize them"
            )
        if with_aux and min(height, width) < SMALLEST_WITH_AUX:
            raise InputError(
                f"images are {height}x{width} pixels; the auxiliary classifier needs {SMALLEST_WITH_AUX}x"
                f"{SMALLEST_WITH_AUX} or more: resize them, leave it out with aux_classes=0, or name the outputs "
                "without 'aux'"
            )

    @property
    def blocks(self) -> list[nn.Module]:
        """The modules of all stages in order, one entry of `features` each."""
        return [block for stage in self.stages for block in stage.children()]


class AuxHead(nn.Module):
    """The auxiliary classifier, figure 8. (B, C, H, W) -> (B, classes)."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(inputs, 128, 1)
        self.conv2 = conv_layer(128, 768, 5, padded=False)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        x = self.conv2(self.conv1(F.avg_pool2d(x, 5, stride=3)))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


def stem(config: InceptionV3Config) -> nn.Sequential:
    """The first five convolutions of table 1. (B, 3, H, W) -> (B, 192, H/4, W/4)."""
    widths = [config.width(channels) for channels in (32, 32, 64, 80, 192)]
    layers = OrderedDict[str, nn.Module](
        conv1=conv_layer(3, widths[0], 3, stride=2, padded=False),
        conv2=conv_layer(widths[0], widths[1], 3, padded=False),
        conv3=conv_layer(widths[1], widths[2], 3),
        pool=nn.MaxPool2d(3, stride=2),
        conv4=conv_layer(widths[2], widths[3], 1),
        conv5=conv_layer(widths[3], widths[4], 3, padded=False),
    )
    return nn.Sequential(layers)


def stages(config: InceptionV3Config) -> list[list[Branches]]:
    """The modules of table 1 at 35x35, 17x17 and 8x8 places of a 299-pixel image."""
    width = config.width(192)
    modules: list[list[Branches]] = [[], [], []]
    for pooled in (32, 64, 64):
        modules[0].append(large_grid(config, width, pooled))
        width = modules[0][-1].width
    modules[1].append(narrow_reduction(config, width))
    for narrow in (128, 160, 160, 192):
        modules[1].append(factorised_grid(config, modules[1][-1].width, narrow))
    modules[2].append(wide_reduction(config, modules[1][-1].width))
    for pool in ("average", config.last_pool):
        modules[2].append(small_grid(config, modules[2][-1].width, pool))
    return modules


def on_grid(
    x: Float[Tensor, "b c h w"], images: Float[Tensor, "b channels height width"], stride: int
) -> Float[Tensor, "b c rows columns"]:
    """Repeat the border of a map until it has one place for every `stride` pixels of the images."""
    height, width = (-(-side // stride) - inner for side, inner in zip(images.shape[-2:], x.shape[-2:]))
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2), mode="replicate")
