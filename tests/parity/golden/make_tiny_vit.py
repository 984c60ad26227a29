"""Make the golden files of TinyViT.

    python tests/parity/golden/make_tiny_vit.py CHECKOUT tiny_vit_5m_224_in22k.onnx

Needs timm and a checkout of microsoft/Cream; the files here were made with timm 1.0.31, Cream at 4a13c40 and torch
2.13.0. The ONNX file is the one that `tiny_vit_5m_224.onnx_in22k` names as its source.

`tiny_vit_outputs.safetensors`: what the other implementations answer, for small models. Weights and inputs are not
stored: they follow from keys and shapes (`formula_state`), with a generator whose numbers never change.
`tiny_vit_keys.json.gz`: library -> our variant or small model -> key -> shape, of full-size and small models.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, library_model, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

PUBLISHED = {
    "tiny_vit_5m_224": ("dist_in22k", "dist_in22k_ft_in1k", "in1k"),
    "tiny_vit_11m_224": ("dist_in22k", "dist_in22k_ft_in1k", "in1k"),
    "tiny_vit_21m_224": ("dist_in22k", "dist_in22k_ft_in1k", "in1k"),
    "tiny_vit_21m_384": ("dist_in22k_ft_in1k",),
    "tiny_vit_21m_512": ("dist_in22k_ft_in1k",),
}

SMALL: dict[str, dict[str, Any]] = {
    "narrow": {"widths": (8, 12, 16, 24), "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 3), "windows": (7, 4, 6, 3)},
    "wide": {"widths": (16, 24, 32, 48), "depths": (2, 2, 1, 1), "num_heads": (2, 3, 4, 4), "windows": (5, 8, 4, 2)},
}
"""Our configs of the small models; they have seven classes."""

TIMM_SIZES = {"even": (64, 64), "odd": (97, 75)}
MICROSOFT_SIZE = 96
"""The authors' code takes squares of one size."""

FORMULA = {"spread": 6.0, "gain": 0.8}


def their_names(small: dict[str, Any]) -> dict[str, Any]:
    names = {"widths": "embed_dims", "windows": "window_sizes"}
    return {"num_classes": 7, **{names.get(key, key): value for key, value in small.items()}}


def main(checkout: Path, onnx_file: Path) -> None:
    sys.path.insert(0, str(checkout / "TinyViT" / "models"))
    variants = [f"{architecture}.{tag}" for architecture, tags in PUBLISHED.items() for tag in tags]
    keys = {
        "timm": {name: shapes_of(lambda name=name: library_model("timm", name)) for name in variants}
        | {name: shapes_of(lambda small=small: timm_model(small)) for name, small in SMALL.items()},
        "microsoft": {name: shapes(published(name)) for name in variants}
        | {name: shapes(microsoft_model(small)) for name, small in SMALL.items()},
        "onnx": {"tiny_vit_5m_224.onnx_in22k": onnx_shapes(onnx_file)},
    }
    write_keys("tiny_vit", keys)
    write_small_outputs()


@torch.no_grad()
def write_small_outputs() -> None:
    from safetensors.torch import save_file

    outputs: dict[str, Tensor] = {}
    for name, small in SMALL.items():
        model: Any = filled(timm_model(small), **FORMULA)
        for label, size in TIMM_SIZES.items():
            images = formula_images(size)
            outputs[f"timm.{name}.{label}.logits"] = model(images)
            for stage, level in enumerate(model.forward_intermediates(images, intermediates_only=True)):
                outputs[f"timm.{name}.{label}.{4 << stage}"] = level[:, ::4].contiguous()
        model = filled(microsoft_model(small), **FORMULA)
        outputs[f"microsoft.{name}.logits"] = model(formula_images((MICROSOFT_SIZE, MICROSOFT_SIZE)))
    save_file(outputs, HERE / "tiny_vit_outputs.safetensors")


def timm_model(small: dict[str, Any]) -> nn.Module:
    from timm.models.tiny_vit import TinyVit

    return TinyVit(**their_names(small))


def microsoft_model(small: dict[str, Any]) -> nn.Module:
    import tiny_vit

    return tiny_vit.TinyViT(img_size=MICROSOFT_SIZE, **their_names(small))


def shapes(model: nn.Module) -> dict[str, list[int]]:
    """Return key -> shape. The authors' models cannot be built on the meta device."""
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def published(name: str) -> nn.Module:
    """One of the authors' models, at full size."""
    import tiny_vit

    architecture, _, tag = name.partition(".")
    return getattr(tiny_vit, architecture)(num_classes=21841 if tag == "dist_in22k" else 1000)


def onnx_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes as `nexus.hub.read_tensors` gives them, which names what ONNX leaves without a name."""
    from nexus.hub import read_tensors

    return {key: list(tensor.shape) for key, tensor in read_tensors(path).items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
