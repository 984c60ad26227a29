"""Make the golden files of ConvNeXt.

    python tests/parity/golden/make_convnext.py FOLDER

Needs timm and torchvision; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch 2.13.0. FOLDER holds
the authors' model files: ``models/convnext.py`` of facebookresearch/ConvNeXt at 048efce, ``models/convnextv2.py`` and
``models/utils.py`` of facebookresearch/ConvNeXt-V2 at 2553895.

`convnext_keys.json.gz`: library -> our variant -> key -> shape, of the full-size models on the meta device.
`convnext_outputs.safetensors`: what the models answer when they have the weights and images of `formula`.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent
SIZES = {"even": (64, 64), "odd": (97, 75)}

TIMM = ("convnext_atto", "convnext_tiny", "convnextv2_atto")
SMALL: dict[str, Any] = {"depths": (1, 2, 3, 1), "dims": (8, 16, 24, 32), "num_classes": 7}
"""A small model of the authors' classes."""


def main() -> None:
    authors = authors_classes(Path(sys.argv[1]))
    variants = list(named_variants())
    described = {
        "timm": {name: shapes_of(partial(timm_model, size, **shape)) for name, size, shape in variants},
        "torchvision": {
            f"convnext_{size}.tv_in1k": shapes_of(partial(torchvision_model, f"convnext_{size}"))
            for size in ("tiny", "small", "base", "large")
        },
        "authors": {name: authors_shapes(authors, name, size, shape) for name, size, shape in variants},
    }
    for (library, name), model in run_models(authors).items():
        described[library].setdefault(name, {key: list(tensor.shape) for key, tensor in model.state_dict().items()})
    write_keys("convnext", described)


def named_variants() -> Iterator[tuple[str, str, dict[str, int]]]:
    """Our variants, timm's names of their sizes, and their classes."""
    from nexus.models.cv.convnext.variants import FROM_AUTHORS

    for name, variant in FROM_AUTHORS.items():
        yield (
            name,
            name.partition(".")[0].split("_384")[0].split("_512")[0],
            {"num_classes": variant["config"]["num_classes"]},
        )


def timm_model(name: str, **values: Any) -> nn.Module:
    import timm

    return timm.create_model(name, **values)


def torchvision_model(name: str) -> nn.Module:
    import torchvision

    return getattr(torchvision.models, name)()


def authors_classes(folder: Path) -> dict[str, Callable[..., nn.Module]]:
    """Import the authors' files, without sparse tensors and without replacing timm's models of the same names."""
    for name, values in {
        "MinkowskiEngine": {"SparseTensor": None},
        "timm.models.registry": {"register_model": lambda model: model},
    }.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(values)
    package = types.ModuleType("authors")
    package.__path__ = [str(folder)]
    sys.modules["authors"] = package
    first, second = (importlib.import_module(f"authors.{name}") for name in ("convnext", "convnextv2"))
    return {"convnext": first.ConvNeXt, "convnextv2": second.ConvNeXtV2}


def authors_shapes(
    classes: dict[str, Callable[..., nn.Module]], name: str, size: str, shape: dict[str, int]
) -> dict[str, list[int]]:
    from nexus.models.cv.convnext.variants import FROM_AUTHORS

    config = FROM_AUTHORS[name]["config"]
    build = partial(
        classes[size.partition("_")[0]],
        depths=config["depths"],
        dims=config["widths"],
        num_classes=shape["num_classes"] or 1,
    )
    with patch.object(torch, "linspace", partial(torch.linspace, device="cpu")):  # its numbers are read
        shapes = shapes_of(build)
    if shape["num_classes"]:
        return shapes
    # timm's `_create_convnext`: "fcmae pretrained weights have no classifier or final norm-layer".
    return {key: value for key, value in shapes.items() if not key.startswith(("head.", "norm."))}


def run_models(authors: dict[str, Callable[..., nn.Module]]) -> dict[tuple[str, str], nn.Module]:
    """Store what some models answer, and return them by library and name."""
    from safetensors.torch import save_file

    models = {("timm", name): timm_model(name) for name in TIMM}
    models["torchvision", "convnext_tiny.tv_in1k"] = torchvision_model("convnext_tiny")
    models |= {("authors", f"small {name}"): build(**SMALL) for name, build in authors.items()}
    outputs = {}
    for (library, name), model in models.items():
        filled(model)
        for label, size in SIZES.items():
            with torch.no_grad():
                outputs[f"{library}.{name}.{label}"] = model(formula_images(size))
    save_file(outputs, HERE / "convnext_outputs.safetensors")
    return models


if __name__ == "__main__":
    main()
