"""Make `augment_outputs.safetensors`: what the operations of RandAugment and TrivialAugment do to a small picture.

    python tests/parity/golden/make_augment.py

Needs torchvision; made with torchvision 0.28.0 and Pillow 13.0.0. ``picture`` is what is changed;
``<policy>.<operation>.magnitudes`` the 31 magnitudes; ``<policy>.<operation>.<number>`` the picture after the magnitude
of that number, negated where the number is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode, RandAugment, TrivialAugmentWide
from torchvision.transforms.autoaugment import _apply_op

SIZE = (16, 12)  # width, height
BINS = (0, 9, 17, 30)


def picture() -> Image.Image:
    """Return smooth noise."""
    noise = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize(SIZE, Image.Resampling.BILINEAR)


def main() -> None:
    image = picture()
    golden = {"picture": torch.from_numpy(np.array(image))}
    spaces = {
        "rand": RandAugment()._augmentation_space(31, (SIZE[1], SIZE[0])),
        "trivial": TrivialAugmentWide()._augmentation_space(31),
    }
    for policy, space in spaces.items():
        for name, (magnitudes, signed) in space.items():
            magnitudes = magnitudes.double().expand(31)
            golden[f"{policy}.{name}.magnitudes"] = magnitudes.contiguous()
            for number in BINS:
                for sign in (1, -1) if signed else (1,):
                    value = sign * float(magnitudes[number])
                    changed = _apply_op(image, name, value, InterpolationMode.NEAREST, None)
                    golden[f"{policy}.{name}.{sign * number}"] = torch.from_numpy(np.array(changed))
    save_file(golden, Path(__file__).parent / "augment_outputs.safetensors")


if __name__ == "__main__":
    main()
