"""Make the golden files of VGG.

    python tests/parity/golden/make_vgg.py

Needs timm and torchvision; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch 2.13.0.

`vgg_keys.json.gz`: library -> our variant -> key -> shape, of the full-size models on the meta device.
`vgg_outputs.safetensors`: what two of them answer with the weights and images of `formula`, their linear layers made
narrow; the keys of these are stored as ``narrow NAME``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, library_model, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent
SIZES = {"even": (64, 64), "odd": (97, 75)}

NAMES = [f"vgg{layers}{norm}" for layers in (11, 13, 16, 19) for norm in ("", "_bn")]
RUN = (("torchvision", "vgg11"), ("timm", "vgg13_bn"))
HIDDEN = 64

FORMULA = {"spread": 4.0}
"""Weights such that two images still differ at the end and the answers stay near 1."""


def main() -> None:
    from safetensors.torch import save_file

    described = {
        library: {name: shapes_of(partial(library_model, library, name)) for name in NAMES}
        for library in ("torchvision", "timm")
    }
    outputs = {}
    for library, name in RUN:
        model = narrow(library_model(library, name))
        described[library][f"narrow {name}"] = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
        filled(model, **FORMULA)
        for label, size in SIZES.items():
            with torch.no_grad():
                outputs[f"{library}.{name}.{label}"] = model(formula_images(size))
    save_file(outputs, HERE / "vgg_outputs.safetensors")
    write_keys("vgg", described)


def narrow(model: Any) -> nn.Module:
    """Make the linear layers of a VGG as wide as `HIDDEN`, so that the weights are few."""
    if hasattr(model, "classifier"):
        for index, (inputs, outputs) in {0: (512 * 7 * 7, HIDDEN), 3: (HIDDEN, HIDDEN), 6: (HIDDEN, 1000)}.items():
            model.classifier[index] = nn.Linear(inputs, outputs)
    else:
        from timm.models.vgg import ConvMlp

        model.pre_logits = ConvMlp(512, HIDDEN, 7)
        model.head.fc = nn.Linear(HIDDEN, 1000)
    return model


if __name__ == "__main__":
    main()
