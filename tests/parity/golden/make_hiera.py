"""Make the golden files of Hiera.

    python tests/parity/golden/make_hiera.py HIERA_CHECKOUT

Needs timm and a checkout of facebookresearch/hiera; the files here were made with timm 1.0.31, hiera at b12b842 and
torch 2.13.0.

`hiera_outputs.safetensors`: what the other implementations answer, for small models. Weights and inputs are not stored:
they follow from keys and shapes (`formula_state`), with a generator whose numbers never change.
`hiera_keys.json.gz`: library -> our variant -> key -> shape, and the same of the small models.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 96, "num_heads": 1, "stages": (1, 2, 7, 2)},
    "small": {"embed_dim": 96, "num_heads": 1, "stages": (1, 2, 11, 2)},
    "base": {"embed_dim": 96, "num_heads": 1, "stages": (2, 3, 16, 3)},
    "base_plus": {"embed_dim": 112, "num_heads": 2, "stages": (2, 3, 16, 3)},
    "large": {"embed_dim": 144, "num_heads": 2, "stages": (2, 6, 36, 4)},
    "huge": {"embed_dim": 256, "num_heads": 4, "stages": (2, 6, 36, 4)},
}

MODELS: dict[str, dict[str, Any]] = {
    "small": {"embed_dim": 16, "num_heads": 1, "stages": (1, 2, 1, 1), "num_classes": 7, "size": (64, 64)},
    "larger": {"embed_dim": 24, "num_heads": 2, "stages": (2, 1, 2, 1), "num_classes": 5, "size": (96, 96)},
}
"""At the size of the stored grid, the only one that the authors' code takes."""


def main(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    keys: dict[str, Any] = {"timm": {}, "facebook": {}}
    linspace = partial(torch.linspace, device="cpu")  # the authors' rates are numbers, on the meta device too
    with mock.patch("torch.linspace", linspace):
        for size, values in SIZES.items():
            keys["timm"][f"hiera_{size}"] = shapes_of(partial(timm, **values))
            keys["timm"][f"hiera_{size}.mae"] = shapes_of(partial(timm, **values, num_classes=0))
            keys["facebook"][f"hiera_{size}"] = shapes_of(partial(facebook, **values))
            keys["facebook"][f"hiera_{size}.mae"] = shapes_of(partial(pretraining, **values))
    for name, values in MODELS.items():
        for library, build in LIBRARIES.items():
            keys[library][name] = shapes(small(build, values))
    write_keys("hiera", keys)
    save_outputs()


def save_outputs() -> None:
    from safetensors.torch import save_file

    found = {}
    for name, values in MODELS.items():
        for library, build in LIBRARIES.items():
            with torch.no_grad():
                found[f"{library}.{name}"] = filled(small(build, values))(formula_images(values["size"]))
    save_file(found, HERE / "hiera_outputs.safetensors")


def small(build: Any, values: dict[str, Any]) -> nn.Module:
    values = dict(values)
    size = values.pop("size")
    return build(**values, **{"img_size" if build is timm else "input_size": size})


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


def timm(**values: Any) -> nn.Module:
    from timm.models.hiera import Hiera

    return Hiera(**values)


def facebook(**values: Any) -> nn.Module:
    from hiera import Hiera

    return Hiera(**values)


def pretraining(**values: Any) -> nn.Module:
    from hiera.hiera_mae import MaskedAutoencoderHiera

    return MaskedAutoencoderHiera(**values)


LIBRARIES = {"timm": timm, "facebook": facebook}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
