"""Draw the pictures of the documentation with nexus itself, from the shipped photographs.

    NEXUS_MIRROR=1 python tools/build_docs_images.py

Each is reduced to 256 colours, or kept as a JPEG, which keeps it below 300 kB.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import nexus
from nexus._seeds import generator
from nexus.assets import PHOTOS
from nexus.transforms import AugmentConfig, ErasingConfig, MixConfig, PreprocessSpec, open_image
from nexus.transforms.augment import augment
from nexus.transforms.mix import mix, random_erasing
from nexus.transforms.preprocess import normalise_batch

DOCS = Path(__file__).parents[1] / "docs"
IMAGES = DOCS / "images"
QUERIES = ("giraffe.jpg", "mountain-gorilla.jpg", "chenonceau.jpg")
ANIMALS = ("giraffe.jpg", "alpaca.jpg", "calf.jpg")


def main() -> None:
    """Write them."""
    predictor = nexus.load("dinov2_vits14")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        nexus.index(PHOTOS, out="photos.nexus", model=predictor)
        queries = [PHOTOS / name for name in QUERIES]
        nexus.search("photos.nexus", queries, k=5, model=predictor, sheet="search.png")
        nexus.visualize_pca([PHOTOS / name for name in ANIMALS], out="pca.png", model=predictor)
        draw_oddities()
        for drawn in ("search.png", "pca.png", "anomaly.png"):
            picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
            picture.save(IMAGES / drawn, optimize=True)
    draw_augmentations().save(IMAGES / "augmentation.jpg", quality=75, optimize=True)


VIEWS, SIDE, GAP, MARGIN = 6, 112, 4, 130
PLAIN = PreprocessSpec(resize=SIDE, crop=(SIDE, SIDE), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CROPPED = AugmentConfig(scale=(0.6, 1.0), flip=0)
KINDS = {
    "crop and flip": AugmentConfig(),
    "RandAugment": CROPPED.replace(policy="randaugment", magnitude=15),
    "TrivialAugment": CROPPED.replace(policy="trivialaugment"),
    "colour jitter": CROPPED.replace(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
}


def draw_augmentations() -> Image.Image:
    """Draw random views of a photograph: a row for each way to change it."""
    giraffe, gorilla = (open_image(PHOTOS / name) for name in QUERIES[:2])
    rows = {
        name: [augment(giraffe, PLAIN, config, generator(seed)) for seed in range(VIEWS)]
        for name, config in KINDS.items()
    }
    pairs = [augment(picture, PLAIN, CROPPED, generator(0)) for picture in (giraffe, gorilla)] * VIEWS
    images = normalise_batch(torch.from_numpy(np.stack(pairs)), PLAIN)
    seeds, partners = torch.arange(2 * VIEWS), torch.arange(2 * VIEWS) ^ 1
    for name, config in (("MixUp", MixConfig(cutmix_alpha=0)), ("CutMix", MixConfig(mixup_alpha=0))):
        mixed, _ = mix(images, torch.zeros(2 * VIEWS, 1), seeds, partners, config)
        rows[name] = _pixels(mixed[::2])
    rows["Random Erasing"] = _pixels(random_erasing(images[::2], seeds[::2], ErasingConfig(probability=1)))
    sheet = Image.new("RGB", (MARGIN + VIEWS * (SIDE + GAP), len(rows) * (SIDE + GAP)), "white")
    font = ImageFont.load_default(15)
    for row, (name, views) in enumerate(rows.items()):
        top = row * (SIDE + GAP)
        ImageDraw.Draw(sheet).text((4, top + SIDE // 2), name, "black", font, anchor="lm")
        for column, view in enumerate(views):
            sheet.paste(Image.fromarray(view), (MARGIN + column * (SIDE + GAP), top))
    return sheet


def _pixels(images: torch.Tensor) -> list[np.ndarray]:
    return list((255 * images.clamp(0, 1)).byte().permute(0, 2, 3, 1).numpy())


def draw_oddities() -> None:
    """Run the example of the page on oddities in the current folder, and keep the heat map of the odd picture."""
    page = (DOCS / "how-to" / "anomaly.md").read_text(encoding="utf-8")
    example = re.search(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert example is not None
    Path("photos").symlink_to(PHOTOS)
    exec(example[1], {})
    nexus.anomaly("new", normal="good", heatmaps="maps")
    os.replace("maps/visited.png", "anomaly.png")


if __name__ == "__main__":
    main()
