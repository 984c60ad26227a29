"""Make the golden files of HiViT.

    python tests/parity/golden/make_hivit.py CHECKOUT

Needs timm and a checkout of zhangxiaosong18/hivit; the files here were made with timm 1.0.31, the checkout at 2718339
and torch 2.13.0.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent

SMALL: dict[str, dict[str, Any]] = {
    "square": {"img_size": 64, "embed_dim": 48, "depths": [1, 2, 2], "num_heads": 3},
    "without bias": {"img_size": 48, "embed_dim": 32, "depths": [2, 1, 3], "num_heads": 2, "rpe": False},
}

SIZES = {
    "tiny": {"embed_dim": 384, "depths": [1, 1, 10], "num_heads": 6},
    "small": {"embed_dim": 384, "depths": [2, 2, 20], "num_heads": 6},
    "base": {"embed_dim": 512, "depths": [2, 2, 20], "num_heads": 8},
}


def main(checkout: Path) -> None:
    from safetensors.torch import save_file

    warnings.simplefilter("ignore")
    supervised = load(checkout / "supervised" / "models" / "hivit.py")
    finetuned = load(checkout / "self_supervised" / "models" / "models_hivit.py")
    linspace, torch.linspace = torch.linspace, lambda *args: linspace(*args, device="cpu")  # its items are read
    keys = {f"hivit_{size}": shapes_of(partial(supervised.HiViT, **values)) for size, values in SIZES.items()}
    keys["hivit_base.mae_ft_in1k"] = shapes_of(finetuned.hivit_base)
    keys["hivit_base.mae"] = shapes_of(partial(finetuned.hivit_base_without_bias, num_classes=0))
    small = {name: supervised.HiViT(num_classes=7, **values) for name, values in SMALL.items()}
    small = {name: fill(model) for name, model in small.items()}
    write_keys("hivit", {"authors": keys, "small": {n: shapes_of(lambda m=m: m) for n, m in small.items()}})
    outputs = {}
    for name, model in small.items():
        images = formula_images((SMALL[name]["img_size"],) * 2)
        with torch.no_grad():
            outputs[f"{name}.tokens"], outputs[f"{name}.logits"] = model.forward_features(images), model(images)
    save_file(outputs, HERE / "hivit_outputs.safetensors")


def fill(model: nn.Module) -> nn.Module:
    """Give a model the weights of the formula; its tables of indices stay."""
    indices = {key: value.clone() for key, value in model.state_dict().items() if key.endswith("position_index")}
    filled(model)
    model.load_state_dict(indices, strict=False)
    return model


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "hivit_base"):  # what the masked autoencoder trains
        module.hivit_base_without_bias = partial(
            module.HiViT, embed_dim=512, depths=[2, 2, 20], num_heads=8, stem_mlp_ratio=3.0, rpe=False
        )
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]))
