"""Make the golden files of MobileViT and MobileViTv2.

    python tests/parity/golden/make_mobilevit.py

Needs timm; the files here were made with timm 1.0.31 and torch 2.13.0. The full-size models are small enough to answer.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from formula import filled, formula_images, shapes_of, write_keys

HERE = Path(__file__).parent
SIZES = ((64, 64), (96, 64))
ANSWERS = ("mobilevit_xxs", "mobilevit_s", "mobilevitv2_050", "mobilevitv2_125")

NAMES = [
    *(f"mobilevit_{size}" for size in ("xxs", "xs", "s")),
    *(f"mobilevitv2_{width:03}" for width in range(50, 225, 25)),
]


def main() -> None:
    import timm
    from safetensors.torch import save_file

    keys = {name: shapes_of(partial(timm.create_model, name)) for name in NAMES}
    for name in NAMES[3:]:
        keys[f"{name}_384"] = keys[name]
        if int(name[-3:]) >= 150:
            keys |= {f"{name}{side}.in21k_ft_in1k": keys[name] for side in ("", "_384")}
    write_keys("mobilevit", {"timm": keys})
    outputs = {}
    for name in ANSWERS:
        model = filled(timm.create_model(name), spread=6.0)
        for size in SIZES:
            with torch.no_grad():
                outputs[f"{name}.{size[0]}x{size[1]}"] = model(formula_images(size))
    save_file(outputs, HERE / "mobilevit_outputs.safetensors")


if __name__ == "__main__":
    main()
