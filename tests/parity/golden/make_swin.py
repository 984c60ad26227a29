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
GROWN = (3, 2)
"""Windows of the small model's pre-training."""

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
    for name, size, pixels, window, classes, pretrained in variants_v2():
        values = {**SIZES[size], "num_classes": classes, "pretrained_window_sizes": pretrained}
        keys["microsoft"][name] = shapes(microsoft(pixels, window, values, v2=True))
        keys["timm"][name] = shapes(timm(pixels, window, values, v2=True))
    for size in "tsb":
        keys["torchvision"][f"swin_{size}.tv_in1k"] = shapes(torchvision(7, SIZES[size]))
        keys["torchvision"][f"swin_v2_{size}.tv_in1k"] = shapes(torchvision(8, SIZES[size], v2=True))
    for name, values in TINY.items():
        for v2 in (False, True):
            keys["microsoft"][tiny(name, v2)] = shapes(microsoft(64, 4, values, v2=v2))
            keys["timm"][tiny(name, v2)] = shapes(timm(64, 4, values, v2=v2))
            keys["torchvision"][tiny(name, v2)] = shapes(torchvision(4, values, v2=v2))
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


def variants_v2() -> list[tuple[str, str, int, int, int, tuple[int, ...]]]:
    """The same of V2, with windows and those of the pre-training."""
    whole, grown = (0, 0, 0, 0), (12, 12, 12, 6)
    found = [(f"swin_v2_{size}", size, 256, 8, 1000, whole) for size in "tsb"]
    found += [(f"swin_v2_{size}_w16", size, 256, 16, 1000, whole) for size in "tsb"]
    for size, tag in (("b", ".in22k_ft_in1k"), ("l", "")):
        found += [(f"swin_v2_{size}{tag}", size, 256, 16, 1000, grown)]
        found += [(f"swin_v2_{size}_384{tag}", size, 384, 24, 1000, grown)]
        found += [(f"swin_v2_{size}.in22k", size, 192, 12, 21841, whole)]
    return found


def tiny(name: str, v2: bool) -> str:
    """What a small model is called in the golden files."""
    return f"{name}_v2" if v2 else name


def shapes(model: nn.Module) -> dict[str, list[int]]:
    """Key -> shape; the authors' code does not build on the meta device."""
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def save_outputs() -> None:
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    for name, values in TINY.items():
        for v2 in (False, True):
            stem = tiny(name, v2)
            for label, size in IMAGES.items():
                found[f"torchvision.{stem}.{label}"] = answer(torchvision(4, values, v2=v2), size)
            found[f"timm.{stem}.even"] = answer(timm(64, 4, values, v2=v2), IMAGES["even"])
            found[f"microsoft.{stem}.even"] = answer(microsoft(64, 4, values, v2=v2), IMAGES["even"])
    # a last stage that is one window, and a size other than that of the layout
    for v2 in (False, True):
        model = timm(32, 4, TINY["small"], v2=v2, strict_img_size=False)
        found[f"timm.{tiny('small', v2)}.one_window"] = answer(model, IMAGES["wide"])
    # windows that grew after the pre-training
    grown = {**TINY["small"], "pretrained_window_sizes": GROWN}
    found["timm.small_v2.grown"] = answer(timm(64, 4, grown, v2=True), IMAGES["even"])
    found["microsoft.small_v2.grown"] = answer(microsoft(64, 4, grown, v2=True), IMAGES["even"])
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


def microsoft(pixels: int, window: int, values: dict[str, Any], v2: bool = False) -> nn.Module:
    from swin_transformer import SwinTransformer
    from swin_transformer_v2 import SwinTransformerV2

    values = {"pretrained_window_sizes": (0,) * len(values["depths"]), **values} if v2 else values
    return (SwinTransformerV2 if v2 else SwinTransformer)(img_size=pixels, window_size=window, **values)


def timm(pixels: int, window: int, values: dict[str, Any], v2: bool = False, **changes: Any) -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    values = {"pretrained_window_sizes": (0,) * len(values["depths"]), **values} if v2 else values
    return (SwinTransformerV2 if v2 else SwinTransformer)(img_size=pixels, window_size=window, **values, **changes)


def torchvision(window: int, values: dict[str, Any], v2: bool = False) -> nn.Module:
    from torchvision.models import swin_transformer as swin

    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    if v2:
        values |= {"block": swin.SwinTransformerBlockV2, "downsample_layer": swin.PatchMergingV2}
    return swin.SwinTransformer(patch_size=[4, 4], window_size=[window, window], **values)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
