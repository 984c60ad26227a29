"""Make the golden files of GoogLeNet.

    python tests/parity/golden/make_googlenet.py

Needs torchvision; the files here were made with torchvision 0.28.0 and torch 2.13.0.

`googlenet_outputs.safetensors`: what torchvision's model answers with weights that follow from keys and shapes
(`formula_state`), to pictures normalised as its own transform does (`formula_pixels`); and what its auxiliary
classifiers answer, with statistics and without dropout as in evaluation.
`googlenet_keys.json.gz`: its keys and shapes, auxiliary classifiers included, as in its file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, library_model, shapes_of, thinned, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent
SIZES = {"even": (64, 64), "odd": (97, 75), "large": (224, 224)}

FORMULA: dict[str, float] = {"spread": 6, "gain": 0.85}

ARGUMENTS: dict[str, Any] = {"init_weights": False, "transform_input": True}


def formula_pixels(size: tuple[int, int]) -> Tensor:
    """Return a batch (2, 3, H, W) of pixels in 0..1."""
    return formula_images(size) / 4 + 0.5


def torchvision_images(pixels: Tensor) -> Tensor:
    """Normalise as torchvision's transform of ImageNet."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    return (pixels - mean) / std


def with_aux(model: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Call a model that is in evaluation but for its own flag, which asks for the auxiliary classifiers."""
    model.training = True
    answers = model(images)
    model.training = False
    return tuple(answers)


@torch.no_grad()
def main() -> None:
    from safetensors.torch import save_file

    build = partial(library_model, "torchvision", "googlenet", **ARGUMENTS)
    write_keys("googlenet", {"torchvision": {"googlenet": shapes_of(build)}})
    model = filled(build(), **FORMULA)
    outputs = {}
    for label, size in SIZES.items():
        logits, second, first = with_aux(model, torchvision_images(formula_pixels(size)))
        for name, answer in {"logits": logits, "aux.0": first, "aux.1": second}.items():
            outputs[f"{label}.{name}"] = thinned(answer)
    save_file(outputs, HERE / "googlenet_outputs.safetensors")
    for key, answer in outputs.items():
        print(key, answer.abs().max().item(), (answer[0] - answer[1]).abs().max().item())


if __name__ == "__main__":
    main()
