"""Make the golden files of DeiT.

    python tests/parity/golden/make_deit.py

Needs timm; the files here were made with timm 1.0.31 and torch 2.13.0. timm's models have the names of the authors'.

`deit_outputs.safetensors`: what timm answers, for small models whose weights and inputs follow from `formula_state`.
`deit_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from formula import filled, formula_images, shapes_of, write_keys
from safetensors.torch import save_file

HERE = Path(__file__).parent

SMALL: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64, "num_classes": 7}


def main() -> None:
    names = timm.list_models("deit_*_patch16_*")
    write_keys("deit", {"timm": {name: shapes_of(lambda name=name: timm.create_model(name)) for name in names}})
    with torch.no_grad():
        found = {
            name: filled(timm.create_model(name, **SMALL))(formula_images((64, 64)))
            for name in ("deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224")
        }
    save_file(found, HERE / "deit_outputs.safetensors")


if __name__ == "__main__":
    main()
