"""Make the golden files of Swin Transformer.

    python tests/parity/golden/make_swin.py SWIN_CHECKOUT

Needs timm, torchvision and a checkout of microsoft/Swin-Transformer; the files here were made with timm 1.0.31,
torchvision 0.28.0, Swin-Transformer at f82860b and torch 2.13.0.

`swin_transformer_outputs.safetensors`: what the other implementations answer, for small models. Weights and inputs are
not stored: they follow from keys and shapes (`formula_state`), with a generator whose numbers never change.
`swin_transformer_keys.json.gz`: library -> our variant -> key -> shape, and the same of the small models.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

SIZES: dict[str, dict[str, Any]] = {
    "t": {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)},
    "s": {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)},
    "b": {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
    "l": {"embed_dim": 192, "depths": (2, 2, 18, 2), "num_heads": (6, 12, 24, 48)},
}

TINY: dict[str, dict[str, Any]] = {
    "small": {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 7},
    "larger": {"embed_dim": 24, "depths": (1, 2, 3), "num_heads": (2, 3, 6), "num_classes": 5},
}
IMAGES = {"even": (64, 64), "wide": (80, 112), "padded": (68, 76)}
"""Of whole patches, and of grids of one window on both sides or on none, since libraries differ in the rest."""


def main(checkout: Path) -> None:
    sys.path.insert(0, str(checkout / "models"))
    warnings.simplefilter("ignore")
    keys: dict[str, Any] = {"microsoft": {}, "timm": {}, "torchvision": {}}
    for name, size, pixels, classes in variants():
        values = {**SIZES[size], "num_classes": classes}
        keys["microsoft"][name] = shapes(microsoft(pixels, pixels // 32, values))
        keys["timm"][name] = shapes(timm(pixels, pixels // 32, values))
    for size in "tsb":
        keys["torchvision"][f"swin_{size}.tv_in1k"] = shapes(torchvision(7, SIZES[size]))
    for name, values in TINY.items():
        keys["microsoft"][name] = shapes(microsoft(64, 4, values))
        keys["timm"][name] = shapes(timm(64, 4, values))
        keys["torchvision"][name] = shapes(torchvision(4, values))
    write_keys("swin_transformer", keys)
    save_outputs()


def variants() -> list[tuple[str, str, int, int]]:
    """Our names of the authors' weights, with size, pixels and classes."""
    found = [(f"swin_{size}", size, 224, 1000) for size in "tsbl"]
    found += [(f"swin_{size}_384", size, 384, 1000) for size in "bl"]
    found += [(f"swin_{size}.in22k_ft_in1k", size, 224, 1000) for size in "tsb"]
    found += [("swin_b_384.in22k_ft_in1k", "b", 384, 1000)]
    found += [(f"swin_{size}.in22k", size, 224, 21841) for size in "tsbl"]
    return found + [(f"swin_{size}_384.in22k", size, 384, 21841) for size in "bl"]


def shapes(model: nn.Module) -> dict[str, list[int]]:
    """Key -> shape; the authors' code does not build on the meta device."""
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def save_outputs() -> None:
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    for name, values in TINY.items():
        for label, size in IMAGES.items():
            found[f"torchvision.{name}.{label}"] = answer(torchvision(4, values), size)
        found[f"timm.{name}.even"] = answer(timm(64, 4, values), IMAGES["even"])
        found[f"microsoft.{name}.even"] = answer(microsoft(64, 4, values), IMAGES["even"])
    # a last stage that is one window, and a size other than that of the layout
    values = TINY["small"]
    found["timm.small.one_window"] = answer(timm(32, 4, values, strict_img_size=False), IMAGES["wide"])
    save_file(found, HERE / "swin_transformer_outputs.safetensors")


def answer(model: nn.Module, size: tuple[int, int]) -> Tensor:
    with torch.no_grad():
        return filled_except_buffers(model)(formula_images(size))


def filled_except_buffers(model: nn.Module) -> nn.Module:
    """Give a model the weights of the formula, and leave the tables that it computed."""
    buffers = {key: buffer.clone() for key, buffer in model.named_buffers()}
    filled(model)
    for key, buffer in buffers.items():
        model.get_buffer(key).copy_(buffer)
    return model


def microsoft(pixels: int, window: int, values: dict[str, Any]) -> nn.Module:
    from swin_transformer import SwinTransformer

    return SwinTransformer(img_size=pixels, window_size=window, **values)


def timm(pixels: int, window: int, values: dict[str, Any], **changes: Any) -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(img_size=pixels, window_size=window, **values, **changes)


def torchvision(window: int, values: dict[str, Any]) -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return SwinTransformer(patch_size=[4, 4], window_size=[window, window], **values)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
