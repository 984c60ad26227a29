from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.mobilenet_v1.image_processing_pil_mobilenet_v1 import MobileNetV1ImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
from transformers.models.mobilevit.image_processing_pil_mobilevit import MobileViTImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from nexus.assets import PHOTOS
from nexus.errors import ConfigError, InputError
from nexus.transforms.image import open_image
from nexus.transforms.preprocess import (
    PreprocessSpec,
    apply,
    decode_floor,
    normalise,
    normalise_batch,
    spec_from_huggingface,
)
from nexus.transforms.resize import crop_start, fit, naflex_size, resized_size

DINOV2 = {
    "size": {"shortest_edge": 256},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}

PROCESSORS: dict[str, Any] = {
    "dinov2": BitImageProcessorPil(**DINOV2),
    "clip": CLIPImageProcessorPil(),
    "deit": DeiTImageProcessorPil(),
    "internvl": GotOcr2ImageProcessorPil(),
    "mobilenet v1": MobileNetV1ImageProcessorPil(),
    "mobilenet v2": MobileNetV2ImageProcessorPil(),
    "mobilevit": MobileViTImageProcessorPil(),
    "siglip": SiglipImageProcessorPil(),
    "vit": ViTImageProcessorPil(),
    "convnext 224": ConvNextImageProcessorPil(size={"shortest_edge": 224}),
    "convnext 384": ConvNextImageProcessorPil(),
    "efficientnet": EfficientNetImageProcessorPil(),
    "efficientnet, cropped, offset": EfficientNetImageProcessorPil(
        do_center_crop=True, rescale_offset=True, rescale_factor=1 / 127.5, resample=0
    ),
    "crop larger than the picture": BitImageProcessorPil(
        size={"shortest_edge": 50}, crop_size={"height": 65, "width": 80}
    ),
    "not normalised": ViTImageProcessorPil(do_normalize=False, resample=1),
}


def photo(size: tuple[int, int]) -> Image.Image:
    name = sorted(PHOTOS.glob("*.jpg"))[3]
    return open_image(name).resize(size, Image.Resampling.LANCZOS)


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize(
    "size", [(640, 427), (333, 501), (200, 601), (257, 256), (90, 31), (31, 200), (224, 224), (1, 40)]
)
def test_equals_the_reference_processor(name: str, size: tuple[int, int]) -> None:
    processor, image = PROCESSORS[name], photo(size)
    expected = np.asarray(processor(image, return_tensors="np")["pixel_values"])
    described = json.loads(json.dumps(processor.to_dict(), default=int))
    spec = spec_from_huggingface(described)
    actual = normalise(apply(image, spec)[None], spec)
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    # In steps of an 8-bit pixel.
    steps = np.abs(actual - expected) * 255 * np.asarray(spec.std, np.float32)[:, None, None]
    assert steps.max() <= 1.01
    assert (steps > 0.01).mean() < 0.01


def test_the_size_that_keeps_the_aspect_is_the_references() -> None:
    rng = np.random.default_rng(0)
    sides = np.exp2(rng.uniform(0, 14, (300, 2))).astype(int).tolist()
    squarish = [(4000 + number, 4000) for number in range(20)]  # hang on the last digits of the scale
    for width, height in [*map(tuple, sides), *squarish, (1, 1), (16384, 1), (640, 480)]:
        for patch_size, max_patches in [(16, 256), (14, 1000), (8, 1)]:
            found = naflex_size(width, height, patch_size, max_patches)
            assert found == get_image_size_for_max_num_patches(height, width, patch_size, max_patches)
            assert (found[0] // patch_size) * (found[1] // patch_size) <= max_patches
    assert naflex_size(640, 480) == (224, 288)


def test_a_size_of_no_patches_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_patches = 0: it must be at least 1"):
        naflex_size(640, 480, max_patches=0)


def test_whole_photographs_equal_the_reference_processor() -> None:
    spec = spec_from_huggingface(PROCESSORS["dinov2"].to_dict())
    for path in sorted(PHOTOS.glob("*.jpg"))[:8]:
        image = open_image(path)
        expected = np.asarray(PROCESSORS["dinov2"](image, return_tensors="np")["pixel_values"])
        steps = np.abs(normalise(apply(image, spec)[None], spec) - expected) * 255 * 0.2246
        assert steps.max() <= 1.05
        assert (steps > 0.1).mean() < 3e-3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"size": 224, "resample": 2}, {"resize": (224, 224), "crop": None}),
        ({"size": 224, "crop_pct": 0.875}, {"resize": 256, "crop": (224, 224)}),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, {"resize": 256, "crop": (224, 224)}),
        ({"size": {"height": 9, "width": 7}, "do_rescale": False}, {"std": (0.5 / 255,) * 3, "mean": (0.5 / 255,) * 3}),
        ({"size": 224, "image_mean": 0.5}, {"mean": (0.5, 0.5, 0.5)}),
    ],
)
def test_files_of_other_ages(old: dict[str, Any], new: dict[str, Any]) -> None:
    spec = spec_from_huggingface({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, **old})
    for key, value in new.items():
        assert getattr(spec, key) == pytest.approx(value) if key in ("mean", "std") else getattr(spec, key) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_pad": True}, "do_pad"),
        ({"do_resize": False}, "do_resize"),
        ({"resample": 4}, "resample = 4"),
        ({"size": {"longest_edge": 5}}, "longest_edge"),
        ({"size": None}, "size = None"),
        ({"size": {"shortest_edge": 5}}, "crop="),
        ({"image_mean": [0.5]}, "image_mean"),
    ],
)
def test_what_a_spec_cannot_say_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_from_huggingface({**ViTImageProcessorPil().to_dict(), **change})


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(
    ("size", "resize", "crop"),
    [
        ((120, 80), 40, (36, 36)),
        ((81, 121), 200, (150, 190)),
        ((60, 60), (30, 90), (40, 40)),
        ((6000, 50), 30, (30, 64)),
    ],
)
def test_one_step_equals_resize_then_crop(
    interpolation: str, size: tuple[int, int], resize: int | tuple[int, int], crop: tuple[int, int]
) -> None:
    image = photo(size)
    width, height = resized_size(size, resize)
    whole = image.resize((width, height), getattr(Image.Resampling, interpolation.upper()))
    left, top = (width - crop[1]) // 2, (height - crop[0]) // 2
    expected = np.asarray(whole.crop((left, top, left + crop[1], top + crop[0])), np.int16)
    difference = np.abs(np.asarray(fit(image, resize, crop, "down", interpolation), np.int16) - expected)
    # The nearest pixel may be the other one where two are equally near.
    assert (difference > 1).mean() <= (0.03 if interpolation == "nearest" else 0)


@pytest.mark.parametrize(
    ("length", "window", "even", "down"),
    [
        (455, 224, 116, 115),
        (453, 224, 114, 114),
        (256, 224, 16, 16),
        (5, 4, 0, 0),
        (7, 4, 2, 1),
        (4, 5, 0, -1),
        (4, 7, -1, -2),
    ],
)
def test_the_crop_begins_where_the_references_begin(length: int, window: int, even: int, down: int) -> None:
    """``even``: what torchvision 0.28's CenterCrop gave; ``down``: transformers' processors."""
    assert crop_start(length, window, "even") == even
    assert crop_start(length, window, "down") == down
    row = np.arange(1, length + 1, dtype=np.int64) % 251
    image = Image.fromarray(np.repeat(row[None, :, None], 3, 2).repeat(window, 0).astype(np.uint8))
    spec = PreprocessSpec(resize=(window, length), crop=(window, window), interpolation="nearest")
    for rounding, start in (("even", even), ("down", down)):
        expected = np.zeros(window, np.uint8)
        inside = slice(max(0, -start), min(window, length - start))
        expected[inside] = row[inside.start + start : inside.stop + start]
        np.testing.assert_array_equal(apply(image, spec.replace(crop_rounding=rounding))[0, :, 0], expected)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 1), (1, 2_000_000)])
def test_extreme_shapes_cost_no_more_than_others(size: tuple[int, int]) -> None:
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    pixels = apply(image, PreprocessSpec())
    assert pixels.shape == (224, 224, 3)
    middle = np.asarray(image)[size[1] // 2, size[0] // 2]
    assert np.abs(pixels.astype(np.int16) - middle).max() <= 1


def test_channels_and_values() -> None:
    batch = np.zeros((2, 3, 4, 3), np.uint8)
    batch[..., 0], batch[..., 2] = 255, 51
    spec = PreprocessSpec(mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1))
    output = normalise(batch, spec)
    assert output.shape == (2, 3, 3, 4)
    assert output.flags.c_contiguous
    np.testing.assert_allclose(output[1, :, 0, 0], [1.0, -2.0, -1.0], rtol=1e-6)
    flipped = normalise(batch, spec.replace(channels="bgr"))
    np.testing.assert_allclose(flipped[1, :, 0, 0], [-0.6, -2.0, 7.0], rtol=1e-6)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_tensors_get_the_values_of_arrays(channels: str, channels_last: bool) -> None:
    spec = PreprocessSpec.parse({"channels": channels, "mean": (0.5, 0.4, 0.3), "std": (0.5, 0.2, 0.1)})
    batch = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    output = normalise_batch(torch.from_numpy(batch), spec, channels_last=channels_last)
    np.testing.assert_array_equal(output.numpy(), normalise(batch, spec))
    assert output.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    half = normalise_batch(torch.from_numpy(batch), spec, dtype=torch.bfloat16)
    assert torch.equal(half, output.to(torch.bfloat16))
    with pytest.raises(InputError, match="uint8"):
        normalise_batch(torch.from_numpy(batch)[0], spec)


@pytest.mark.parametrize(
    "batch", [np.zeros((3, 4, 3), np.uint8), np.zeros((1, 3, 4, 4), np.uint8), np.zeros((1, 3, 4, 3))]
)
def test_a_batch_of_another_kind_is_refused(batch: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8"):
        normalise(batch, PreprocessSpec())


def test_the_floor_of_scaled_decoding() -> None:
    assert decode_floor(PreprocessSpec()) == 512
    assert decode_floor(PreprocessSpec(resize=(30, 70), crop=None)) == 140
    assert decode_floor(PreprocessSpec(decode="exact")) is None


def test_scaled_decoding_changes_little(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    photo((1920, 1280)).save(path, quality=95)
    exact = PreprocessSpec(decode="exact")
    full = apply(open_image(path), exact)
    scaled = open_image(path, min_side=decode_floor(PreprocessSpec()))
    assert scaled.size == (960, 640)
    assert np.abs(apply(scaled, exact).astype(np.int16) - full).mean() < 1.0
