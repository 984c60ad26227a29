"""Make the golden files of ViT, MAE and I-JEPA.

    python tests/parity/golden/make_vit.py IJEPA_CHECKOUT

Needs timm and a checkout of facebookresearch/ijepa; the files here were made with timm 1.0.31, ijepa at 52c1ae9 and
torch 2.13.0. MAE's own code needs timm 0.3.2; its classifiers are timm's ViT with ``global_pool="avg"``, under the same
names.

`vit_outputs.safetensors`: what the other implementations answer, for small models. Weights and inputs are not stored:
they follow from keys and shapes (`formula_state`), with a generator whose numbers never change.
`vit_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from formula import filled, formula_images, formula_state, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

SMALL: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64, "num_classes": 7}

SIZES = {"b": "base", "l": "large", "h": "huge"}

IJEPA = {
    "ijepa_vith14.in1k": ("huge", 14, 224),
    "ijepa_vith14.in22k": ("huge", 14, 224),
    "ijepa_vith16_448.in1k": ("huge", 16, 448),
    "ijepa_vitg16.in22k": ("giant", 16, 224),
}


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


def main(ijepa_checkout: Path) -> None:
    sys.path.insert(0, str(ijepa_checkout))
    import timm

    write_keys("vit", {"timm": timm_keys(timm), "facebook": facebook_keys(timm)})
    write_outputs(timm)


def timm_keys(timm: Any) -> dict[str, dict[str, list[int]]]:
    """The keys of every variant that timm has under a tag, and of the architectures of those without."""

    def shapes(name: str) -> dict[str, list[int]]:
        classes = timm.get_pretrained_cfg(name).num_classes
        return shapes_of(lambda: timm.create_model(name, num_classes=classes))

    tagged = [name for name in timm.list_pretrained("vit_*_patch*") if ".augreg" in name and "patch8" not in name]
    untagged = [
        name
        for size in SIZES.values()
        for name in timm.list_models([f"vit_{size}_patch{patch}_{side}" for patch in (16, 32) for side in (224, 384)])
    ]
    keys = {name: shapes(name) for name in [*tagged, *untagged]}
    for letter, size in SIZES.items():
        patch = 14 if size == "huge" else 16
        keys[f"mae_vit{letter}{patch}"] = shapes(f"vit_{size}_patch{patch}_224.mae")
    for name, (size, patch, side) in IJEPA.items():
        keys[name] = shapes(f"vit_{size}_patch{patch}_gap_{side}.{name.rpartition('.')[2]}_ijepa")
    return keys


def facebook_keys(timm: Any) -> dict[str, dict[str, list[int]]]:
    """The authors' layouts of MAE's classifiers and of I-JEPA's encoders."""
    keys = {}
    for letter, size in SIZES.items():
        patch = 14 if size == "huge" else 16
        architecture = f"vit_{size}_patch{patch}_224"
        keys[f"mae_vit{letter}{patch}.ft_in1k"] = shapes_of(
            lambda name=architecture: timm.create_model(name, global_pool="avg", num_classes=1000)
        )
    for name, (size, patch, side) in IJEPA.items():
        found = shapes_of(lambda size=size, patch=patch, side=side: ijepa(f"vit_{size}", patch, side))
        keys[name] = {f"module.{key}": shape for key, shape in found.items()}
    return keys


def ijepa(architecture: str, patch: int, side: int) -> nn.Module:
    """Build an encoder with the authors' own code, which wants a few real numbers on the meta device too."""
    from src.models import vision_transformer

    linspace = mock.patch.object(torch, "linspace", partial(torch.linspace, device="cpu"))
    positions = mock.patch.object(
        vision_transformer, "get_2d_sincos_pos_embed", lambda dim, grid, **_: np.zeros((grid * grid, dim))
    )
    with linspace, positions:
        return getattr(vision_transformer, architecture)(patch_size=patch, img_size=[side])


def write_outputs(timm: Any) -> None:
    from safetensors.torch import save_file
    from src.models.vision_transformer import VisionTransformer

    build = partial(timm.create_model, "vit_small_patch16_224", **SMALL)
    images = formula_images((64, 64))
    theirs = VisionTransformer(
        img_size=[64], embed_dim=48, depth=2, num_heads=3, norm_layer=partial(nn.LayerNorm, eps=1e-6)
    )
    with torch.no_grad():
        found = {
            "timm.cls": filled(build())(images),
            "timm.mean": filled(build(global_pool="avg", class_token=False, fc_norm=False))(images),
            "timm.mean_norm": filled(build(global_pool="avg"))(images),
            "ijepa": filled(theirs)(images),
            "flax": flax_logits(build(), images),
        }
    save_file(found, HERE / "vit_outputs.safetensors")


def flax_logits(model: Any, images: Tensor) -> Tensor:
    """What timm answers after reading the authors' ``.npz`` layout."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **{key: tensor.numpy() for key, tensor in flax_state(48, 2, 3, 16, 4, 7).items()})
        file.flush()
        model.load_pretrained(file.name)
    return model.eval()(images)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
