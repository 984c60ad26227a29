"""Make the golden files of EVA-02.

    python tests/parity/golden/make_eva02.py EVA_CHECKOUT

Needs timm, einops and a checkout of baaivision/EVA; the files here were made with timm 1.0.31, EVA at 5623d08 and torch
2.13.0. apex and xFormers, which the authors' code imports, are stood in for by what they compute (`stand_ins`).

`eva02_outputs.safetensors`: what timm and the authors' code answer, for small models whose weights and inputs follow
from `formula_state`.
`eva02_keys.json.gz`: library -> our variant -> key -> shape; also of the small models, as ``small``.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from formula import filled, formula_images, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

SMALL: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 7}

MODELS = {"tiny": "eva02_tiny_patch14_224", "base": "eva02_base_patch14_224"}
"""Without sub-LN and with it."""

AUTHORS = {
    "tiny": "eva02_tiny_patch14_xattn_fusedLN_SwiGLU_preln_RoPE",
    "small": "eva02_small_patch14_xattn_fusedLN_SwiGLU_preln_RoPE",
    "base": "eva02_base_patch14_xattn_fusedLN_NaiveSwiGLU_subln_RoPE",
    "large": "eva02_large_patch14_xattn_fusedLN_NaiveSwiGLU_subln_RoPE",
}

SIZES = ((56, 56), (42, 98))
"""The stored grid and another one (height, width)."""


# -- this runs only where the other implementations are -----------------------------------------------------------


class PackedSwiGLU(nn.Module):
    """xFormers' SwiGLU: the same names, the same answer."""

    def __init__(self, in_features: int, hidden_features: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(in_features, 2 * hidden_features)
        self.w3 = nn.Linear(hidden_features, in_features)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(first) * second)


def memory_efficient_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """xFormers' attention, whose tensors are (B, N, heads, head_dim)."""
    parts = (part.transpose(1, 2) for part in (query, key, value))
    return F.scaled_dot_product_attention(*parts).transpose(1, 2)


def stand_ins() -> dict[str, ModuleType]:
    """Modules for apex and xFormers."""
    names = ("apex", "apex.normalization", "xformers", "xformers.ops")
    modules = {name: ModuleType(name) for name in names}
    modules["apex.normalization"].FusedLayerNorm = nn.LayerNorm  # type: ignore[attr-defined]
    modules["xformers.ops"].SwiGLU = PackedSwiGLU  # type: ignore[attr-defined]
    modules["xformers.ops"].memory_efficient_attention = memory_efficient_attention  # type: ignore[attr-defined]
    modules["xformers"].ops = modules["xformers.ops"]  # type: ignore[attr-defined]
    return modules


def main(checkout: Path) -> None:
    import timm

    sys.path.insert(0, str(checkout / "EVA-02" / "asuka"))
    sys.modules |= stand_ins()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import modeling_finetune
        import modeling_pretrain

    tags = [name for name in timm.list_pretrained("eva02_*_patch14_*") if "clip" not in name]
    keys = {"timm": {name: timm_shapes(timm, name) for name in tags}, "baai": {}}
    for name in tags:
        size, side = name.split("_")[1], int(name.partition(".")[0].rpartition("_")[2])
        architecture, classes = AUTHORS[size], timm.get_pretrained_cfg(name).num_classes
        build = partial(getattr(modeling_finetune, architecture), img_size=side, num_classes=classes)
        if not classes:
            build = partial(getattr(modeling_pretrain, f"{architecture}_xavier_normal_init"), img_size=side)
        keys["baai"][name] = authors_shapes(build)
    small = {name: small_authors(modeling_finetune, name) for name in MODELS}
    keys["timm"] |= {f"small.{name}": shapes_of(lambda n=name: small_timm(timm, n)) for name in MODELS}
    keys["baai"] |= {f"small.{name}": shapes(model) for name, model in small.items()}
    write_keys("eva02", keys)
    with torch.no_grad():
        write_outputs(timm, small)


def timm_shapes(timm: Any, name: str) -> dict[str, list[int]]:
    return shapes_of(lambda: timm.create_model(name, num_classes=timm.get_pretrained_cfg(name).num_classes))


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def authors_shapes(build: Any) -> dict[str, list[int]]:
    """Build with the authors' code, which wants a few real numbers on the meta device too."""
    with mock.patch.object(torch, "linspace", partial(torch.linspace, device="cpu")), mock.patch("builtins.print"):
        return shapes_of(build)


def small_timm(timm: Any, name: str) -> nn.Module:
    return timm.create_model(MODELS[name], **SMALL, img_size=56, dynamic_img_size=True)


def small_authors(modeling_finetune: ModuleType, name: str) -> nn.Module:
    """A small model of the authors' code, which takes one size of images only."""
    sub_ln = {"subln": True, "naiveswiglu": True} if name == "base" else {"swiglu": True}
    with mock.patch("builtins.print"):
        return modeling_finetune.VisionTransformer(
            **SMALL,
            **sub_ln,
            img_size=56,
            patch_size=14,
            mlp_ratio=4 * 2 / 3,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            xattn=True,
            rope=True,
            intp_freq=True,
            use_checkpoint=False,
        )


def write_outputs(timm: Any, authors: dict[str, nn.Module]) -> None:
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    for name in MODELS:
        model = filled(small_timm(timm, name))
        for size in SIZES:
            key, images = f"timm.{name}.{size[0]}x{size[1]}", formula_images(size)
            found[key] = model(images)
            for index, state in enumerate(model.forward_intermediates(images, intermediates_only=True)):
                found[f"{key}.{index}"] = state.clone()
        rotary = {key: tensor.clone() for key, tensor in authors[name].state_dict().items() if "rope" in key}
        theirs = filled(authors[name])
        theirs.load_state_dict(rotary, strict=False)  # the tables are no weights
        found[f"baai.{name}"] = theirs(formula_images((56, 56)))
        found[f"baai.{name}.tokens"] = theirs.forward_features(formula_images((56, 56)), return_patch_tokens=True)
    save_file(found, HERE / "eva02_outputs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
