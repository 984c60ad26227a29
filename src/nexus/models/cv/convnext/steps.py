"""The way from a ResNet-50 to a ConvNeXt-T, step by step (Liu et al. 2022, section 2 and figure 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from nexus.layers import DropPath, LayerScale
from nexus.models.cv.convnext.norms import LayerNorm2d

if TYPE_CHECKING:
    from jaxtyping import Float

    from nexus.models.cv.convnext.model import ConvNeXtConfig

__all__ = ["STEPS", "LadderBlock", "ResNetStem", "Step", "ladder"]


class Step(NamedTuple):
    """One step of figure 2.

    Attributes:
        name: what is done.
        changes: the values of the config that it changes.
        top1: ImageNet-1k accuracy behind it in percent, as the page "ConvNext" of the Hugging Face computer vision
            course (unit 2) quotes it from the paper; None where it does not.
    """

    name: str
    changes: dict[str, Any]
    top1: float | None


STEPS = (
    Step(
        "ResNet-50 with today's training",
        {
            "depths": (3, 4, 6, 3),
            "widths": (256, 512, 1024, 2048),
            "stem": "resnet",
            "depthwise": False,
            "inverted_bottleneck": False,
            "spatial_first": False,
            "kernel_size": 3,
            "activation": "relu",
            "fewer_activations": False,
            "fewer_norms": False,
            "norm": "batch",
            "separate_downsampling": False,
            "layer_scale": None,
        },
        78.8,
    ),
    Step("stage ratio", {"depths": (3, 3, 9, 3)}, 79.4),
    Step("patchify stem", {"stem": "patchify"}, 79.5),
    Step("depthwise convolution, width 64 -> 96", {"depthwise": True, "widths": (384, 768, 1536, 3072)}, 80.5),
    Step("inverted bottleneck", {"inverted_bottleneck": True, "widths": (96, 192, 384, 768)}, 80.6),
    Step("depthwise convolution first", {"spatial_first": True}, None),
    Step("kernel size 7", {"kernel_size": 7}, 80.6),
    Step("ReLU -> GELU", {"activation": "gelu"}, None),
    Step("fewer activations", {"fewer_activations": True}, None),
    Step("fewer norms", {"fewer_norms": True}, None),
    Step("batch norm -> layer norm", {"norm": "layer"}, None),
    # LayerScale is part of the recipe that ConvNeXts are trained with and no step of its own; here ConvNeXt-T is whole.
    Step("separate downsampling: ConvNeXt-T", {"separate_downsampling": True, "layer_scale": 1e-6}, 82.0),
)
"""The steps in order, each on top of those before it."""


def ladder() -> dict[str, dict[str, Any]]:
    """Return the configs of figure 2, by the name of the last step taken: from ResNet-50 to ConvNeXt-T."""
    config: dict[str, Any] = {}
    configs = {}
    for step in STEPS:
        config = config | step.changes
        configs[step.name] = config
    return configs


class ResNetStem(nn.Module):
    """7x7 convolution, norm, activation and max-pool. (B, 3, H, W) -> (B, C, H/4, W/4)."""

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, config.stem_width, 7, stride=2, padding=3, bias=config.norm == "layer")
        self.norm = norm(config, config.stem_width)
        self.act = activation(config)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c rows columns"]:
        return self.pool(self.act(self.norm(self.conv(images))))  # type: ignore[no-any-return]


class LadderBlock(nn.Module):
    """A residual block of three convolutions, a spatial one and two 1x1 (figure 3), at any step below ConvNeXt.

    (B, C, H, W) -> (B, width, H / stride, W / stride).
    """

    def __init__(self, config: ConvNeXtConfig, inputs: int, width: int, stride: int, drop_path: float) -> None:
        super().__init__()
        hidden = 4 * width if config.inverted_bottleneck else width // 4
        spatial_at = 0 if config.spatial_first else 1
        channels = (inputs, inputs, hidden, width) if config.spatial_first else (inputs, hidden, hidden, width)
        layers: list[nn.Module] = []
        for index in range(3):
            spatial, normed = index == spatial_at, index == spatial_at or not config.fewer_norms
            side = config.kernel_size if spatial else 1
            layers.append(
                nn.Conv2d(
                    channels[index],
                    channels[index + 1],
                    side,
                    stride if spatial else 1,
                    side // 2,
                    groups=channels[index] if spatial and config.depthwise else 1,
                    bias=not normed or config.norm == "layer",
                )
            )
            if normed:
                layers.append(norm(config, channels[index + 1]))
            if index == 1 or (index == 0 and not config.fewer_activations):
                layers.append(activation(config))
        self.branch = nn.Sequential(*layers)
        self.ls = LayerScale2d(width, config.layer_scale) if config.layer_scale else nn.Identity()
        self.drop_path = DropPath(drop_path)
        self.shortcut = shortcut(config, inputs, width, stride)
        self.act = nn.Identity() if config.fewer_activations else activation(config)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        return self.act(self.shortcut(x) + self.drop_path(self.ls(self.branch(x))))  # type: ignore[no-any-return]


class LayerScale2d(LayerScale):
    """LayerScale of a map. (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x * self.gamma[:, None, None]


def shortcut(config: ConvNeXtConfig, inputs: int, width: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 projection where the shape changes."""
    if inputs == width and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(inputs, width, 1, stride, bias=config.norm == "layer"),
        norm(config, width),
    )


def norm(config: ConvNeXtConfig, width: int) -> nn.Module:
    """The norm of all layers of a ladder block."""
    return nn.BatchNorm2d(width) if config.norm == "batch" else LayerNorm2d(width, eps=config.norm_eps)


def activation(config: ConvNeXtConfig) -> nn.Module:
    """The activation of the whole network."""
    return nn.GELU() if config.activation == "gelu" else nn.ReLU()
