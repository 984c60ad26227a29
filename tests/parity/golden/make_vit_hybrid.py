"""Make the golden files of the hybrid ViT.

    python tests/parity/golden/make_vit_hybrid.py

Needs timm, and transformers before its version 5, which has the class no more; the files here were made with timm
1.0.31, transformers 4.57.3 and torch 2.13.0.

`vit_hybrid_outputs.safetensors`: what they answer, for small models whose weights and inputs follow from
`formula_state`.
`vit_hybrid_keys.json.gz`: library -> our variant -> key -> shape; also of the small models, as ``small``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from formula import filled, formula_images, formula_state, shapes_of, write_keys
from make_vit import flax_state as plain_flax_state
from torch import Tensor, nn

HERE = Path(__file__).parent

SMALL: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 7, "img_size": 64}

DEPTHS: dict[str, tuple[int, ...]] = {
    "vit_base_r50_s16_224": (1, 2, 1),
    "vit_large_r50_s32_224": (1, 1, 1, 1),
    "vit_tiny_r_s16_p8_224": (),
}
"""timm's models and how many blocks the stages of the small ones have."""

SIZES = {"vit_base_r50_s16_224": ((64, 64), (43, 98)), "vit_large_r50_s32_224": ((64, 64), (96, 33))}
"""Sizes of images; a model of fixed size takes one only."""

HUGGINGFACE: dict[str, Any] = {
    "backbone_config": {
        "model_type": "bit",
        "depths": [1, 2, 1],
        "global_padding": "SAME",
        "layer_type": "bottleneck",
        "embedding_dynamic_padding": True,
        "out_features": ["stage3"],
    },
    "backbone_featmap_shape": [1, 1024, 4, 4],
    "image_size": 64,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 192,
}


def flax_state(depths: tuple[int, ...], grid: int) -> dict[str, Tensor]:
    """A small hybrid under the names and in the layout of google-research/vision_transformer's ``.npz`` files."""
    state = plain_flax_state(48, 2, 3, 1, grid, 7)
    width, inputs = 64, 64
    shapes: dict[str, tuple[int, ...]] = {"conv_root/kernel": (7, 7, 3, width), "gn_root/scale": (width,)}
    shapes |= {"gn_root/bias": (width,)}
    for stage, depth in enumerate(depths, 1):
        for unit in range(1, depth + 1):
            stem = f"block{stage}/unit{unit}"
            convs = {"conv1": (1, inputs, width), "conv2": (3, width, width), "conv3": (1, width, 4 * width)}
            if unit == 1:
                convs["conv_proj"] = (1, inputs, 4 * width)
            for name, (kernel, a, b) in convs.items():
                norm = name.replace("conv", "gn")
                shapes |= {f"{stem}/{name}/kernel": (kernel, kernel, a, b)}
                shapes |= {f"{stem}/{norm}/scale": (b,), f"{stem}/{norm}/bias": (b,)}
            inputs = 4 * width
        width *= 2
    shapes["embedding/kernel"] = (1, 1, inputs, 48)
    return {**state, **formula_state(shapes)}


# -- the rest runs only where the other implementations are -----------------------------------------------------------


def main() -> None:
    import timm

    tags = [name for name in timm.list_pretrained("vit_*_r*_s*") if ".augreg" in name or ".orig" in name]
    full = {"image_size": 384, "num_labels": 1000}
    keys = {
        "timm": {
            name: shapes(timm.create_model(name, num_classes=timm.get_pretrained_cfg(name).num_classes))
            for name in tags
        },
        "transformers": {"vit_base_r50_s16_384.orig_in21k_ft_in1k": shapes_of(lambda: huggingface_model(full))},
    }
    keys["timm"] |= {f"small.{name}": shapes(small_timm_model(name)) for name in DEPTHS}
    keys["transformers"]["small"] = shapes(huggingface_model({**HUGGINGFACE, "num_labels": 7}))
    write_keys("vit_hybrid", keys)
    with torch.no_grad():
        write_outputs()


def shapes(model: nn.Module) -> dict[str, list[int]]:
    """Key -> shape; timm runs its ResNets to see the size of their maps, and so needs numbers."""
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def huggingface_model(described: dict[str, Any]) -> nn.Module:
    """Build transformers' class; its initialisation fails on a mask token that it has not, and is not needed."""
    from transformers.models.deprecated.vit_hybrid import configuration_vit_hybrid, modeling_vit_hybrid

    config = configuration_vit_hybrid.ViTHybridConfig(**described)
    with mock.patch.object(modeling_vit_hybrid.ViTHybridPreTrainedModel, "_init_weights"):
        return modeling_vit_hybrid.ViTHybridForImageClassification(config)


def small_timm_model(name: str, **changes: Any) -> nn.Module:
    """Build one of timm's hybrids with a small ResNet."""
    import timm
    from timm.models import vision_transformer_hybrid

    resnet = vision_transformer_hybrid._resnetv2

    def small(*_: Any, layers: Any = None, **kwargs: Any) -> nn.Module:
        return resnet(DEPTHS[name], **kwargs)

    with mock.patch.object(vision_transformer_hybrid, "_resnetv2", small):
        return timm.create_model(name, **SMALL, **changes)


def write_outputs() -> None:
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    for name in DEPTHS:
        model = filled(small_timm_model(name, dynamic_img_size=name in SIZES), spread=6.0)
        for size in SIZES.get(name, ((64, 64),)):
            images, key = formula_images(size), f"timm.{name}.{size[0]}x{size[1]}"
            found[key] = model(images)
            found[f"{key}.map"] = model.patch_embed.backbone(images)[:, ::32].clone()  # a few channels say it all
    theirs = filled(huggingface_model({**HUGGINGFACE, "num_labels": 7}), spread=6.0)
    found["transformers"] = theirs(formula_images((64, 64))).logits
    found["flax"] = flax_logits()
    save_file(found, HERE / "vit_hybrid_outputs.safetensors")


def flax_logits() -> Tensor:
    """What timm answers after reading the authors' ``.npz`` layout."""
    model = small_timm_model("vit_base_r50_s16_224")
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **{key: tensor.numpy() for key, tensor in flax_state((1, 2, 1), 4).items()})
        file.flush()
        model.load_pretrained(file.name)
    return model.eval()(formula_images((64, 64)))


if __name__ == "__main__":
    main()
