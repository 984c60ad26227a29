"""The preprocess spec: how a picture becomes a model's input. It travels with the weights, an index and an export."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field, PositiveInt, model_validator

from nexus.config import Config
from nexus.errors import ConfigError, InputError
from nexus.transforms.resize import fit

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PreprocessSpec",
    "apply",
    "decode_floor",
    "geometry",
    "normalise",
    "normalise_batch",
    "spec_from_huggingface",
    "spec_from_timm",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Triple = tuple[float, float, float]
Side = Annotated[int, Field(gt=0, le=16384)]


class PreprocessSpec(Config):
    """From an upright RGB picture to a normalised (3, H, W) array: resize, centre crop, scale to 0..1, normalise.

    Attributes:
        resize: an int: the shorter side becomes that long and the aspect is kept; (height, width): exactly that.
        crop: (height, width) of the centre crop after the resize, or None. A picture smaller than the crop is padded
            with black, as the reference processors do.
        crop_rounding: where the crop begins if as many pixels as are left over cannot be halved: ``"even"`` at the even
            one of both, as torchvision, timm and those who use them; ``"down"`` at the first, as transformers.
        interpolation: filter of the resize, as Pillow computes it on 8-bit pixels.
        mean, std: per channel, of values in 0..1, in the order of `channels`.
        channels: order in which the model wants them.
        decode: ``"exact"`` decodes every pixel; ``"scaled"`` lets a large JPEG be decoded smaller by the DCT, never
            below twice the resize target (about twice as fast; features differ by a cosine of about 2e-4).
    """

    resize: Side | tuple[Side, Side] = 256
    crop: tuple[PositiveInt, PositiveInt] | None = (224, 224)
    crop_rounding: Literal["even", "down"] = "even"
    interpolation: Literal["bicubic", "bilinear", "lanczos", "nearest"] = "bicubic"
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    channels: Literal["rgb", "bgr"] = "rgb"
    decode: Literal["exact", "scaled"] = "scaled"

    @model_validator(mode="after")
    def _fixed_size(self) -> PreprocessSpec:
        if self.crop is None and isinstance(self.resize, int):
            raise ValueError(f"resize={self.resize} keeps the aspect, so crop=(height, width) is needed for a batch")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        if self.crop is not None:
            return self.crop
        assert isinstance(self.resize, tuple)
        return self.resize

    def at(self, size: int) -> PreprocessSpec:
        """Return the spec for another square input size, with the same crop ratio."""
        if isinstance(self.resize, tuple):
            return self.replace(resize=(size, size), crop=(size, size) if self.crop else None)
        assert self.crop is not None
        return self.replace(resize=round(self.resize * size / min(self.crop)), crop=(size, size))

    def digest(self) -> str:
        """Return 16 hex digits that differ whenever two specs could give different inputs."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]


def apply(image: Image.Image, spec: PreprocessSpec) -> np.ndarray:
    """Resize and crop a picture.

    Args:
        image: upright, 8-bit RGB, of any size.
        spec: resize, crop and interpolation are read here; `normalise` does the rest.

    Returns:
        (H, W, 3) uint8, RGB, of ``spec.size``.
    """
    return np.asarray(fit(image, spec.resize, spec.crop, spec.crop_rounding, spec.interpolation))


def normalise(batch: np.ndarray, spec: PreprocessSpec) -> np.ndarray:
    """Turn pixels into a model's input: scale to 0..1, subtract the mean, divide by the standard deviation.

    Args:
        batch: (B, H, W, 3) uint8, RGB.
        spec: mean, std and order of channels.

    Returns:
        (B, 3, H, W) float32, contiguous.

    Raises:
        InputError: the batch has another shape or type.
    """
    if batch.ndim != 4 or batch.shape[3] != 3 or batch.dtype != np.uint8:
        raise InputError(f"a batch must be (B, H, W, 3) uint8, not {batch.shape} {batch.dtype}")
    order = (0, 1, 2) if spec.channels == "rgb" else (2, 1, 0)
    output = np.empty((batch.shape[0], 3, *batch.shape[1:3]), np.float32)
    for channel, source in enumerate(order):
        # One pass over each plane: pixel / 255 / std - mean / std.
        np.multiply(batch[..., source], np.float32(1 / (255 * spec.std[channel])), out=output[:, channel])
        output[:, channel] -= np.float32(spec.mean[channel] / spec.std[channel])
    return output


def normalise_batch(
    images: Tensor,
    spec: PreprocessSpec,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    channels_last: bool = False,
) -> Tensor:
    """Do what `normalise` does to a tensor, on the device of the model: pixels are copied there as bytes.

    Args:
        images: (B, H, W, 3) uint8, RGB; copied without waiting if it is pinned.
        spec: mean, std and order of channels.
        device: where the result is wanted.
        dtype: of the result, computed in float32; None: float32.
        channels_last: lay the result out with the channels innermost, as convolutions on many devices want it.

    Returns:
        (B, 3, H, W), the values of `normalise`.

    Raises:
        InputError: the batch has another shape or type.
    """
    import torch  # here, because those who only decode do without

    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != torch.uint8:
        raise InputError(f"a batch must be (B, H, W, 3) uint8, not {tuple(images.shape)} {images.dtype}")
    if torch.device(device).type == images.device.type == "cpu" and not channels_last:
        output = torch.from_numpy(normalise(images.numpy(), spec))  # in two passes, where PyTorch needs three
        return output if dtype is None else output.to(dtype)
    planes = images.to(device, non_blocking=True).permute(0, 3, 1, 2)  # (B, 3, H, W)
    planes = planes.flip(1) if spec.channels == "bgr" else planes
    layout = torch.channels_last if channels_last else torch.contiguous_format
    output = planes.to(torch.float32, memory_format=layout)
    scale = torch.tensor([1 / (255 * std) for std in spec.std], device=device)
    shift = torch.tensor([mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], device=device)
    output.mul_(scale[:, None, None]).sub_(shift[:, None, None])
    return output if dtype is None else output.to(dtype)


def decode_floor(spec: PreprocessSpec) -> int | None:
    """Return the shortest side to which a JPEG may be decoded: twice the resize target; None: decode all of it."""
    if spec.decode == "exact":
        return None
    return 2 * (spec.resize if isinstance(spec.resize, int) else max(spec.resize))


def geometry(spec: PreprocessSpec) -> dict[str, Any]:
    """Return what a decoding process is told of a spec: plain values, under the names of its arguments there."""
    return {
        "resize": spec.resize,
        "crop": spec.crop,
        "crop_rounding": spec.crop_rounding,
        "interpolation": spec.interpolation,
        "min_side": decode_floor(spec),
    }


RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's filter numbers, as Hugging Face processors store them."""


def spec_from_huggingface(processor: Mapping[str, Any]) -> PreprocessSpec:
    """Translate the contents of a Hugging Face ``preprocessor_config.json``, of an image processor of any age.

    Rescaling other than by 1/255 and the second normalisation of EfficientNet's processor become part of mean and std.
    The processor of NaFlex models, which keeps each picture's aspect, becomes the square of as many patches.

    Args:
        processor: the parsed file, or ``to_dict()`` of a processor.

    Raises:
        ConfigError: a step that a spec cannot say, named.
    """
    for step in ("do_pad", "do_thumbnail", "do_reduce_labels"):
        if processor.get(step):
            raise ConfigError(f"preprocessor_config.json: {step} = {processor[step]!r} is not supported")
    if not processor.get("do_resize", True):
        raise ConfigError("preprocessor_config.json: do_resize = False: pictures of any size cannot be batched")
    filter_number = int(processor.get("resample", 2))
    if filter_number not in RESAMPLE:
        raise ConfigError(f"preprocessor_config.json: resample = {filter_number}: only {RESAMPLE} are supported")
    resize, crop = _geometry_from_huggingface(processor)
    mean, std = _normalisation_from_huggingface(processor)
    return PreprocessSpec.parse(
        {
            "resize": resize,
            "crop": crop,
            **({"crop_rounding": "down"} if crop else {}),
            "interpolation": RESAMPLE[filter_number],
            "mean": mean,
            "std": std,
            "channels": "bgr" if processor.get("do_flip_channel_order") else "rgb",
        }
    )


def spec_from_timm(data: Mapping[str, Any]) -> PreprocessSpec:
    """Translate the ``pretrained_cfg`` of a timm model: its evaluation transform.

    Raises:
        ConfigError: a way to crop that a spec cannot say.
    """
    _, height, width = data["input_size"]
    scaled = (math.floor(height / data["crop_pct"]), math.floor(width / data["crop_pct"]))
    match data.get("crop_mode", "center"):
        case "center" if scaled[0] == scaled[1]:
            resize: int | tuple[int, int] = scaled[0]
        case "squash":
            resize = scaled
        case mode:
            raise ConfigError(f"pretrained_cfg: crop_mode = {mode!r} for {height}x{width} pixels is not supported")
    return PreprocessSpec.parse(
        {
            "resize": resize,
            "crop": (height, width),
            "interpolation": data["interpolation"],
            "mean": data["mean"],
            "std": data["std"],
        }
    )


def _geometry_from_huggingface(
    processor: Mapping[str, Any],
) -> tuple[int | tuple[int, int], tuple[int, int] | None]:
    """Return `resize` and `crop` of the spec."""
    if "max_num_patches" in processor:  # NaFlex: one size for all, the square of as many patches; see `naflex_size`
        side = math.isqrt(processor["max_num_patches"]) * processor["patch_size"]
        return (side, side), None
    size, crop = processor.get("size"), processor.get("crop_size")
    cropped = bool(processor.get("do_center_crop")) and crop is not None
    if isinstance(size, int):  # files written before 2022
        shorter = cropped or "crop_pct" in processor
        size = {"shortest_edge": size} if shorter else {"height": size, "width": size}
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    window = (int(crop["height"]), int(crop["width"])) if cropped and crop else None
    match size:
        case {"height": int(height), "width": int(width)}:
            return (height, width), window
        case {"shortest_edge": int(edge)} if "crop_pct" not in processor:
            return edge, window
        case {"shortest_edge": int(edge)} if edge < 384:  # ConvNeXt resizes and crops, but not at its largest size
            return int(edge / processor["crop_pct"]), (edge, edge)
        case {"shortest_edge": int(edge)}:
            return (edge, edge), window
    raise ConfigError(
        f"preprocessor_config.json: size = {size!r} is not supported (height and width, or shortest_edge)"
    )


def _normalisation_from_huggingface(processor: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Fold ``((pixel * factor - offset) - mean) / std`` into mean and std of pixels in 0..1."""
    factor = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    scale = round(255 * factor, 9)
    mean, std = [0.0] * 3, [1.0] * 3
    if processor.get("do_normalize", "do_flip_channel_order" not in processor):  # MobileViT's say nothing, and do not
        mean, std = _three(processor, "image_mean"), _three(processor, "image_std")
    divisor = std
    is_efficient_net = "EfficientNet" in str(processor.get("image_processor_type", ""))
    if processor.get("include_top", is_efficient_net):
        divisor = [value * value for value in std]
    offset = 1.0 if processor.get("rescale_offset") else 0.0
    return [(value + offset) / scale for value in mean], [value / scale for value in divisor]


def _three(processor: Mapping[str, Any], key: str) -> list[float]:
    value = processor.get(key)
    values = [value] * 3 if isinstance(value, int | float) else list(value or ())
    if len(values) != 3:
        raise ConfigError(f"preprocessor_config.json: {key} = {value!r}: three numbers are needed")
    return values
