"""ConvNeXt, as in Liu et al., "A ConvNet for the 2020s" (arXiv:2201.03545), figure 4 and table 9; and its second
version, as in Woo et al. (arXiv:2301.00808), figure 5.

The blocks of the steps between a ResNet and a ConvNeXt (section 2 and figure 2) are in `steps.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import InputError
from nexus.layers import DropPath, LayerScale, channels_last, linear_rates
from nexus.models.base import NexusModule
from nexus.models.cv.convnext.norms import GRN, LayerNorm2d
from nexus.models.cv.convnext.steps import LadderBlock, ResNetStem
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ConvNeXt", "ConvNeXtConfig"]


class ConvNeXtConfig(Config):
    """Config of `ConvNeXt`; the defaults are ConvNeXt-T.

    From `stem` to `separate_downsampling` stand the steps from a ResNet to a ConvNeXt in the order of the paper, each
    to be taken or not; `nexus.models.cv.convnext.ladder` gives the configs of figure 2.

    Attributes:
        depths: blocks in each stage (the first step: the compute ratio of the stages).
        widths: channels that each stage gives.
        stem: ``"patchify"``: a 4x4 convolution of stride 4; ``"resnet"``: 7x7 of stride 2, and max-pool.
        depthwise: make the spatial convolution depthwise, as an extreme ResNeXt.
        inverted_bottleneck: work at four times the width of a block; False: at a quarter of it.
        spatial_first: begin a block with its spatial convolution; False: have it between the two 1x1.
        kernel_size: of the spatial convolution.
        activation: of all blocks.
        fewer_activations: one in a block, in front of its last 1x1 convolution; False: one behind each convolution, the
            last one behind the addition.
        fewer_norms: one in a block, behind its spatial convolution; False: one behind each convolution.
        norm: kind of norm.
        separate_downsampling: change the grid by a norm and a 2x2 convolution of stride 2 between the stages, and add
            a norm behind the stem and one behind the pooling; False: change it inside a stage's first block.
        grn: global response normalisation behind the activation (V2).
        layer_scale: what each residual branch is scaled by at first, one learned factor per channel; None: nothing
            (V2).
        norm_eps: of every layer norm but the last.
        final_norm_eps: of the layer norm behind the pooling; transformers has 1e-12.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        num_classes: logits of the head; 0 for none.
    """

    depths: tuple[PositiveInt, ...] = Field((3, 3, 9, 3), min_length=1)
    widths: tuple[PositiveInt, ...] = (96, 192, 384, 768)
    stem: Literal["patchify", "resnet"] = "patchify"
    depthwise: bool = True
    inverted_bottleneck: bool = True
    spatial_first: bool = True
    kernel_size: PositiveInt = 7
    activation: Literal["gelu", "relu"] = "gelu"
    fewer_activations: bool = True
    fewer_norms: bool = True
    norm: Literal["layer", "batch"] = "layer"
    separate_downsampling: bool = True
    grn: bool = False
    layer_scale: PositiveFloat | None = 1e-6
    norm_eps: PositiveFloat = 1e-6
    final_norm_eps: PositiveFloat = 1e-6
    drop_path: float = Field(0.0, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _values_agree(self) -> ConvNeXtConfig:
        if len(self.depths) != len(self.widths):
            raise ValueError(f"depths={self.depths} and widths={self.widths} need one value per stage each")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={self.kernel_size} must be odd: a block keeps its grid")
        if not self.inverted_bottleneck and any(width % 4 for width in self.widths):
            raise ValueError(f"widths={self.widths} must be multiples of 4: a bottleneck works at a quarter of them")
        if self.grn and not self.is_top:
            raise ValueError("grn=True is only defined for a ConvNeXt block, with all steps of the ladder taken")
        return self

    @property
    def is_top(self) -> bool:
        """Whether the blocks are ConvNeXt blocks: every step that changes their structure is taken."""
        return self.norm == "layer" and all(
            (
                self.depthwise,
                self.inverted_bottleneck,
                self.spatial_first,
                self.fewer_activations,
                self.fewer_norms,
                self.separate_downsampling,
            )
        )

    @property
    def stem_width(self) -> int:
        """Channels that the stem gives: those that the first stage's bottleneck is made for."""
        return self.widths[0] if self.inverted_bottleneck else self.widths[0] // 4


class ConvNeXt(NexusModule):
    """A ConvNeXt, or anything between it and a ResNet.

    Any input size from 32x32 is taken (with four stages). As in the authors' code, patches do not overlap and the
    rows and columns that do not fill one are left out. Outputs: `features`, every block; `pyramid`, every stage,
    {4, 8, 16, 32}; `tokens`, the last stage's grid in row-major order; `embeddings`, its normalised mean; `logits`
    where there is a head.
    """

    Config = ConvNeXtConfig

    def __init__(self, config: Mapping[str, Any] | ConvNeXtConfig) -> None:
        super().__init__(config)
        c: ConvNeXtConfig = self.config
        rates = iter(linear_rates(c.drop_path, sum(c.depths)))
        inputs = (c.stem_width, *c.widths)
        strides = (1, *(2 for _ in c.widths[1:]))
        self.stem = PatchifyStem(c) if c.stem == "patchify" else ResNetStem(c)
        self.downsamples = nn.ModuleList(
            Downsample(c, inputs[s], width) if c.separate_downsampling and strides[s] > 1 else nn.Identity()
            for s, width in enumerate(c.widths)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    Block(c, width, next(rates))
                    if c.is_top
                    else LadderBlock(c, inputs[s] if b == 0 else width, width, strides[s] if b == 0 else 1, next(rates))
                    for b in range(depth)
                )
            )
            for s, (depth, width) in enumerate(zip(c.depths, c.widths))
        )
        self.norm = nn.LayerNorm(c.widths[-1], eps=c.final_norm_eps) if c.separate_downsampling else nn.Identity()
        self.head: nn.Module = nn.Linear(c.widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        for module in self.modules():
            init_layer(module)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; a ConvNeXt has none.

        Raises:
            InputError: an output that no model has, or images smaller than the last stage's stride.
        """
        wanted = self.wanted(outputs, output_attentions)
        smallest = 4 * 2 ** (len(self.stages) - 1)
        if min(images.shape[-2:]) < smallest:
            raise InputError(
                f"images are {images.shape[-2]}x{images.shape[-1]} pixels; this ConvNeXt needs {smallest}x{smallest} "
                "or more: resize them"
            )
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x = self.stem(channels_last(images))  # (B, C, H/4, W/4), rounded down
        for level, (downsample, blocks) in enumerate(zip(self.downsamples, self.stages)):
            x = downsample(x)
            for block in blocks.children():
                x = self.run_block(block, x)
                if "features" in wanted:
                    features.append(x)
            if "pyramid" in wanted:
                pyramid[4 * 2**level] = x

        found = {
            "embeddings": self.norm(x.mean((2, 3))),  # (B, C)
            "tokens": x.flatten(2).transpose(1, 2),  # (B, HW, C)
            "features": features,
            "pyramid": pyramid,
        }
        return self.finish(found, wanted)

    @property
    def blocks(self) -> list[nn.Module]:
        """The residual blocks in order."""
        return [block for blocks in self.stages for block in blocks.children()]


class PatchifyStem(nn.Module):
    """Cut the image into 4x4 patches and project each. (B, 3, H, W) -> (B, C, H/4, W/4)."""

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, config.stem_width, kernel_size=4, stride=4)
        self.norm = (
            LayerNorm2d(config.stem_width, eps=config.norm_eps) if config.separate_downsampling else nn.Identity()
        )

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        return self.norm(self.conv(images))  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halve the grid between two stages. (B, C, H, W) -> (B, width, H/2, W/2), rounded down."""

    def __init__(self, config: ConvNeXtConfig, inputs: int, width: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(inputs, eps=config.norm_eps)
        self.conv = nn.Conv2d(inputs, width, kernel_size=2, stride=2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        return self.conv(self.norm(x))  # type: ignore[no-any-return]


class Block(nn.Module):
    """The ConvNeXt block (figure 4; with `grn`, V2's): mix in space channel by channel, then the channels by an MLP.

    (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, config: ConvNeXtConfig, dim: int, drop_path: float) -> None:
        super().__init__()
        side = config.kernel_size
        self.dwconv = nn.Conv2d(dim, dim, side, padding=side // 2, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=config.norm_eps)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU() if config.activation == "gelu" else nn.ReLU()
        self.grn = GRN(4 * dim) if config.grn else nn.Identity()
        self.fc2 = nn.Linear(4 * dim, dim)
        self.ls = LayerScale(dim, config.layer_scale) if config.layer_scale else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = self.dwconv(x).permute(0, 2, 3, 1)  # (B, H, W, C): linear layers are 1x1 convolutions of it
        y = self.fc2(self.grn(self.act(self.fc1(self.norm(y)))))
        return x + self.drop_path(self.ls(y)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def init_layer(module: nn.Module) -> None:
    """Initialise one layer as the authors' code does: normal, convolutions like linear layers; biases 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
