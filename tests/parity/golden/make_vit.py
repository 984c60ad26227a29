"""Make the golden files of ViT and DINOv2.

    python tests/parity/golden/make_vit.py DINOV2_CHECKOUT [dinov2_vits14.onnx]

Needs timm and a checkout of facebookresearch/dinov2; the files here were made with timm 1.0.31, dinov2 at b8931f7 and
torch 2.13.0. The ONNX file is the one that `dinov2_vits14` names as its package source.

`<family>_outputs.safetensors`: what the other implementations answer, for small models, and for DINOv2 also the
authors' position embeddings at several sizes. Weights and inputs are not stored: they follow from keys and shapes
(`formula_state`), with a generator whose numbers never change.
`<family>_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from formula import filled, formula_images, formula_state, read_keys, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

DINOV2_SIZES = {"s": "small", "b": "base", "l": "large", "g": "giant"}

TIMM_TINY: dict[str, dict[str, Any]] = {
    "vit_small_patch16_224": {"img_size": 64, "num_classes": 7},
    "vit_small_patch14_dinov2": {"img_size": 56},
    "vit_small_patch14_reg4_dinov2": {"img_size": 56},
    "vit_giant_patch14_dinov2": {"img_size": 56},
}
"""timm models that are made small, with arguments beside `SMALL`."""

SMALL: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3}

FACEBOOK_TINY: dict[str, dict[str, Any]] = {
    "dinov2_vits14": {},
    "dinov2_vits14_reg": {"num_register_tokens": 4, "interpolate_antialias": True, "interpolate_offset": 0.0},
    "dinov2_vitg14": {"ffn_layer": "swiglufused"},
}

IMAGE_SIZES = ((518, 518), (224, 224), (126, 322), (322, 126), (14, 700))
"""The stored grid, the usual size, and odd ones (height, width)."""


def flax_state(dim: int, depth: int, heads: int, patch: int, grid: int, classes: int) -> dict[str, Tensor]:
    """A small ViT under the names and in the layout of google-research/vision_transformer's ``.npz`` files."""
    head_dim, shapes = dim // heads, {}
    for block in range(depth):
        stem = f"Transformer/encoderblock_{block}"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes |= {f"{stem}/{norm}/scale": (dim,), f"{stem}/{norm}/bias": (dim,)}
        for part in ("query", "key", "value"):
            name = f"{stem}/MultiHeadDotProductAttention_1/{part}"
            shapes |= {f"{name}/kernel": (dim, heads, head_dim), f"{name}/bias": (heads, head_dim)}
        name = f"{stem}/MultiHeadDotProductAttention_1/out"
        shapes |= {f"{name}/kernel": (heads, head_dim, dim), f"{name}/bias": (dim,)}
        shapes |= {f"{stem}/MlpBlock_3/Dense_0/kernel": (dim, 4 * dim), f"{stem}/MlpBlock_3/Dense_0/bias": (4 * dim,)}
        shapes |= {f"{stem}/MlpBlock_3/Dense_1/kernel": (4 * dim, dim), f"{stem}/MlpBlock_3/Dense_1/bias": (dim,)}
    shapes |= {"Transformer/encoder_norm/scale": (dim,), "Transformer/encoder_norm/bias": (dim,)}
    shapes |= {"Transformer/posembed_input/pos_embedding": (1, 1 + grid * grid, dim), "cls": (1, 1, dim)}
    shapes |= {"embedding/kernel": (patch, patch, 3, dim), "embedding/bias": (dim,)}
    shapes |= {"head/kernel": (dim, classes), "head/bias": (classes,)}
    return formula_state(shapes)


# -- the rest runs only where the other implementations are -----------------------------------------------------------


def main(checkout: Path, onnx_file: Path | None) -> None:
    sys.path.insert(0, str(checkout))
    import timm

    vits = [n for n in timm.list_models("vit_*_patch*_*") if n in VIT_NAMES]
    dinov2_names = {f"dinov2_vit{k}14": f"vit_{size}_patch14_dinov2" for k, size in DINOV2_SIZES.items()}
    dinov2_names |= {f"dinov2_vit{k}14_reg": f"vit_{size}_patch14_reg4_dinov2" for k, size in DINOV2_SIZES.items()}
    write_keys("vit", {"timm": {name: shapes_of(lambda name=name: timm.create_model(name)) for name in vits}})
    keys = {
        "facebook": {name: shapes_of(lambda name=name: facebook(name)) for name in dinov2_names},
        "timm": {n: shapes_of(lambda t=t: timm.create_model(t)) for n, t in dinov2_names.items()},
        "onnx": {"dinov2_vits14": onnx_shapes(onnx_file)} if onnx_file else read_keys("dinov2")["onnx"],
    }
    write_keys("dinov2", keys)
    write_outputs(timm)


VIT_NAMES = {
    *(f"vit_{size}_patch16_{side}" for size in ("tiny", "small", "base", "large") for side in (224, 384)),
    *(f"vit_{size}_patch32_{side}" for size in ("small", "base", "large") for side in (224, 384)),
    "vit_huge_patch14_224",
}


def write_outputs(timm: Any) -> None:
    from safetensors.torch import save_file

    found: dict[str, dict[str, Tensor]] = {"vit": {}, "dinov2": {}}
    for name, changes in TIMM_TINY.items():
        family = "dinov2" if "dinov2" in name else "vit"
        model = filled(timm.create_model(name, **SMALL, **changes))
        x = formula_images((changes["img_size"], changes["img_size"]))
        with torch.no_grad():
            found[family][f"timm.{name}"] = model(x) if family == "vit" else model.forward_features(x)
    found["vit"]["flax"] = flax_logits(timm)
    for name, changes in FACEBOOK_TINY.items():
        model = filled(facebook(name, embed_dim=48, depth=2, num_heads=3))
        for size in ((56, 56), (42, 98)):
            with torch.no_grad():
                answer = model.forward_features(formula_images(size))
            for key in ("x_norm_clstoken", "x_norm_regtokens", "x_norm_patchtokens"):
                found["dinov2"][f"facebook.{name}.{size[0]}x{size[1]}.{key}"] = answer[key].clone()
        if not changes.get("ffn_layer"):
            for height, width in IMAGE_SIZES:
                positions = model.interpolate_pos_encoding(torch.zeros(1, 1 + height * width // 196, 48), height, width)
                # a few channels say it all: each is resampled like every other
                found["dinov2"][f"positions.{name}.{height}x{width}"] = positions[:, 1:, :4].detach().clone()
    for family, tensors in found.items():
        save_file(tensors, HERE / f"{family}_outputs.safetensors")


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


def flax_logits(timm: Any) -> Tensor:
    """What timm answers after reading the authors' ``.npz`` layout."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **{key: tensor.numpy() for key, tensor in flax_state(48, 2, 3, 16, 4, 7).items()})
        file.flush()
        model = timm.create_model("vit_small_patch16_224", **SMALL, img_size=64, num_classes=7)
        model.load_pretrained(file.name)
    with torch.no_grad():
        return model.eval()(formula_images((64, 64)))


def onnx_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes as `nexus.hub.read_tensors` gives them, which names what ONNX leaves without a name."""
    from nexus.hub import read_tensors

    return {key: list(tensor.shape) for key, tensor in read_tensors(path).items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
