"""Make the golden files of AlexNet.

    python tests/parity/golden/make_alexnet.py

Needs torchvision; the files here were made with torchvision 0.28.0 and torch 2.13.0.

`alexnet_keys.json.gz`: library -> our variant -> key -> shape, of the full-size model on the meta device.
`alexnet_outputs.safetensors`: what it answers with the weights and images of `formula`, its linear layers made narrow;
the keys of that are stored as ``narrow alexnet``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, library_model, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent
SIZES = {"smallest": (63, 64), "odd": (129, 97), "usual": (224, 224)}
HIDDEN = 64
FORMULA = {"spread": 4.0}


def main() -> None:
    from safetensors.torch import save_file

    model: Any = library_model("torchvision", "alexnet")
    for index, (inputs, outputs) in {1: (256 * 6 * 6, HIDDEN), 4: (HIDDEN, HIDDEN), 6: (HIDDEN, 1000)}.items():
        model.classifier[index] = nn.Linear(inputs, outputs)
    filled(model, **FORMULA)
    with torch.no_grad():
        answers = {label: model(formula_images(size)) for label, size in SIZES.items()}
    save_file(answers, HERE / "alexnet_outputs.safetensors")
    narrow = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    full = shapes_of(partial(library_model, "torchvision", "alexnet"))
    write_keys("alexnet", {"torchvision": {"alexnet": full, "narrow alexnet": narrow}})


if __name__ == "__main__":
    main()
