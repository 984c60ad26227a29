"""Make the golden files of DINOv2.

    python tests/parity/golden/make_dinov2.py DINOV2_CHECKOUT [dinov2_vits14.onnx]

Needs timm and a checkout of facebookresearch/dinov2; the files here were made with timm 1.0.31, dinov2 at b8931f7 and
torch 2.13.0. The ONNX file is the one that `dinov2_vits14` names as its package source.

`dinov2_outputs.safetensors`: what the other implementations answer, for small models, and the authors' position
embeddings at several sizes. Weights and inputs are not stored: they follow from keys and shapes (`formula_state`), with
a generator whose numbers never change.
`dinov2_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, read_keys, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

SIZES = {"s": "small", "b": "base", "l": "large", "g": "giant"}

SMALL: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3}

TIMM_TINY = ("vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_giant_patch14_dinov2")
"""timm models that are made small."""

FACEBOOK_TINY: dict[str, dict[str, Any]] = {
    "dinov2_vits14": {},
    "dinov2_vits14_reg": {"num_register_tokens": 4, "interpolate_antialias": True, "interpolate_offset": 0.0},
    "dinov2_vitg14": {"ffn_layer": "swiglufused"},
}

IMAGE_SIZES = ((518, 518), (224, 224), (126, 322), (322, 126), (14, 700))
"""The stored grid, the usual size, and odd ones (height, width)."""


def main(checkout: Path, onnx_file: Path | None) -> None:
    sys.path.insert(0, str(checkout))
    import timm

    names = {f"dinov2_vit{k}14": f"vit_{size}_patch14_dinov2" for k, size in SIZES.items()}
    names |= {f"dinov2_vit{k}14_reg": f"vit_{size}_patch14_reg4_dinov2" for k, size in SIZES.items()}
    keys = {
        "facebook": {name: shapes_of(lambda name=name: facebook(name)) for name in names},
        "timm": {n: shapes_of(lambda t=t: timm.create_model(t)) for n, t in names.items()},
        "onnx": {"dinov2_vits14": onnx_shapes(onnx_file)} if onnx_file else read_keys("dinov2")["onnx"],
    }
    write_keys("dinov2", keys)
    write_outputs(timm)


def write_outputs(timm: Any) -> None:
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    for name in TIMM_TINY:
        model = filled(timm.create_model(name, **SMALL, img_size=56))
        with torch.no_grad():
            found[f"timm.{name}"] = model.forward_features(formula_images((56, 56)))
    for name, changes in FACEBOOK_TINY.items():
        model = filled(facebook(name, **SMALL))
        for size in ((56, 56), (42, 98)):
            with torch.no_grad():
                answer = model.forward_features(formula_images(size))
            for key in ("x_norm_clstoken", "x_norm_regtokens", "x_norm_patchtokens"):
                found[f"facebook.{name}.{size[0]}x{size[1]}.{key}"] = answer[key].clone()
        if not changes.get("ffn_layer"):
            for height, width in IMAGE_SIZES:
                positions = model.interpolate_pos_encoding(torch.zeros(1, 1 + height * width // 196, 48), height, width)
                # a few channels say it all: each is resampled like every other
                found[f"positions.{name}.{height}x{width}"] = positions[:, 1:, :4].detach().clone()
    save_file(found, HERE / "dinov2_outputs.safetensors")


def facebook(name: str, **changes: Any) -> nn.Module:
    """Build with the authors' own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xFormers is not needed
        from dinov2.hub import backbones
        from dinov2.models import vision_transformer

    if not changes:
        return getattr(backbones, name)(pretrained=False)
    return vision_transformer.DinoVisionTransformer(
        img_size=518, patch_size=14, init_values=1.0, block_chunks=0, **changes, **FACEBOOK_TINY[name]
    )


def onnx_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes as `nexus.hub.read_tensors` gives them, which names what ONNX leaves without a name."""
    from nexus.hub import read_tensors

    return {key: list(tensor.shape) for key, tensor in read_tensors(path).items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
