"""Make the golden files of CvT.

    python tests/parity/golden/make_cvt.py CHECKOUT

Needs timm, einops, scipy and a checkout of microsoft/CvT; the files here were made with timm 1.0.31, the checkout at
f851e68 and torch 2.13.0.
"""

from __future__ import annotations

import collections.abc
import importlib
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
SIZES = ((64, 64), (72, 100))

SPEC: dict[str, Any] = {
    "NUM_STAGES": 3,
    "PATCH_SIZE": [7, 3, 3],
    "PATCH_STRIDE": [4, 2, 2],
    "PATCH_PADDING": [2, 1, 1],
    "DIM_EMBED": [64, 192, 384],
    "NUM_HEADS": [1, 3, 6],
    "DEPTH": [1, 2, 10],
    "MLP_RATIO": [4.0, 4.0, 4.0],
    "ATTN_DROP_RATE": [0.0, 0.0, 0.0],
    "DROP_RATE": [0.0, 0.0, 0.0],
    "DROP_PATH_RATE": [0.0, 0.0, 0.1],
    "QKV_BIAS": [True, True, True],
    "CLS_TOKEN": [False, False, True],
    "POS_EMBED": [False, False, False],
    "QKV_PROJ_METHOD": ["dw_bn", "dw_bn", "dw_bn"],
    "KERNEL_QKV": [3, 3, 3],
    "PADDING_KV": [1, 1, 1],
    "STRIDE_KV": [2, 2, 2],
    "PADDING_Q": [1, 1, 1],
    "STRIDE_Q": [1, 1, 1],
}
"""CvT-13's, as in experiments/imagenet/cvt."""

DEEPER = {**SPEC, "DEPTH": [1, 4, 16]}
WIDE = {**SPEC, "DIM_EMBED": [192, 768, 1024], "NUM_HEADS": [3, 12, 16], "DEPTH": [2, 2, 20]}

SMALL: dict[str, dict[str, Any]] = {
    "with class token": {**SPEC, "DIM_EMBED": [16, 24, 32], "NUM_HEADS": [1, 3, 4], "DEPTH": [1, 2, 2]},
    "pooled": {
        **SPEC,
        "DIM_EMBED": [16, 24, 32],
        "NUM_HEADS": [2, 2, 2],
        "DEPTH": [1, 1, 2],
        "CLS_TOKEN": [False, False, False],
        "QKV_PROJ_METHOD": ["dw_bn", "avg", "avg"],
    },
}

FULL = {
    **{f"cvt_13{end}": SPEC for end in ("", "_384", "_384.in22k_ft_in1k")},
    **{f"cvt_21{end}": DEEPER for end in ("", "_384", "_384.in22k_ft_in1k")},
    "cvt_w24_384.in22k_ft_in1k": WIDE,
}


def main(checkout: Path) -> None:
    from safetensors.torch import save_file

    warnings.simplefilter("ignore")
    six = sys.modules["torch._six"] = ModuleType("torch._six")  # gone from torch
    six.container_abcs = collections.abc
    package = sys.modules["authors"] = ModuleType("authors")
    package.__path__ = [str(checkout / "lib" / "models")]
    authors = importlib.import_module("authors.cls_cvt")
    linspace, torch.linspace = torch.linspace, lambda *args: linspace(*args, device="cpu")  # its items are read

    def build(spec: dict[str, Any], classes: int = 1000) -> nn.Module:
        norm = partial(authors.LayerNorm, eps=1e-5)
        return authors.ConvolutionalVisionTransformer(
            num_classes=classes, act_layer=authors.QuickGELU, norm_layer=norm, spec=spec
        )

    small = {name: filled(build(spec, 7)) for name, spec in SMALL.items()}
    keys = {
        "authors": {name: shapes_of(partial(build, spec)) for name, spec in FULL.items()},
        "small": {name: shapes_of(lambda model=model: model) for name, model in small.items()},
    }
    write_keys("cvt", keys)
    outputs = {}
    for name, model in small.items():
        for size in SIZES:
            with torch.no_grad():
                outputs[f"{name}.{size[0]}x{size[1]}"] = model(formula_images(size))
    save_file(outputs, HERE / "cvt_outputs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
