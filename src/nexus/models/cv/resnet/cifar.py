"""The networks for CIFAR-10 (He et al. 2015, section 4.2)."""

from __future__ import annotations

from typing import Any

from nexus.errors import ConfigError

__all__ = ["cifar_config"]


def cifar_config(layers: int, *, shortcut: str = "zero_pad", num_classes: int = 10) -> dict[str, Any]:
    """Return the config of ResNet-20, -32, -44, -56, -110 or any other depth of 6n + 2, for pictures of 32 pixels.

    Args:
        layers: 6n + 2, n blocks of two 3x3 convolutions in each of three stages of 16, 32 and 64 channels.
        shortcut: ``"zero_pad"``, as in the paper; ``"none"``: the plain network that it is compared with; or another
            value of `ResNetConfig.shortcut`.
        num_classes: logits of the head.

    Raises:
        ConfigError: there is no such depth.
    """
    blocks, rest = divmod(layers - 2, 6)
    if rest or blocks < 1:
        raise ConfigError(f"layers={layers} is not 6n + 2, as the networks for CIFAR are; {6 * max(blocks, 1) + 2} is")
    return {
        "block": "basic",
        "depths": (blocks,) * 3,
        "widths": (16, 32, 64),
        "strides": (1, 2, 2),
        "stem": "3x3",
        "stem_width": 16,
        "shortcut": shortcut,
        "num_classes": num_classes,
    }
