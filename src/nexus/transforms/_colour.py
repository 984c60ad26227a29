"""Any pixel mode and any ICC profile to 8-bit RGB in sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

__all__ = ["scale_to_bytes", "to_srgb"]

BASE_MODES = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK"}
"""Mode in which a picture meets its ICC profile; RGB where not named."""

PROBE_STEPS = (0, 51, 102, 153, 204, 255)


def to_srgb(image: Image.Image) -> Image.Image:
    """Return the picture as 8-bit RGB in sRGB.

    Transparency is dropped, as ``convert("RGB")`` does it in the reference processors: the colours stored under
    transparent pixels show. 16-bit grey is scaled to 8 bits. A damaged or unfitting ICC profile is ignored.
    """
    profile = image.info.get("icc_profile")
    if "transparency" in image.info:  # `convert` would warn of what is meant here
        image = image.copy()
        del image.info["transparency"]
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(scale_to_bytes(np.asarray(image)))
    if isinstance(profile, bytes) and profile:
        base = image.convert(BASE_MODES.get(image.mode, "RGB"))
        transform = _transform(profile, base.mode)
        if transform is not None:
            from PIL import ImageCms

            converted = ImageCms.applyTransform(base, transform)
            assert converted is not None
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def scale_to_bytes(values: np.ndarray) -> np.ndarray:
    """Scale samples of any numeric type to uint8.

    uint8 stays; bool and floats within 0..1 span 0..255; 16-bit integers are divided by 257. A wider range says
    nothing of its white: it is stretched from its least to its greatest value.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    if values.size == 0:
        return values.astype(np.uint8)
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("has infinite or undefined pixel values")
    span = high - low or 1.0
    return ((values.astype(np.float32) - low) * (255 / span) + 0.5).astype(np.uint8)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Return the transform of a profile to sRGB, or None where it is broken, of another mode, or changes nothing."""
    from PIL import ImageCms

    try:
        transform = ImageCms.buildTransform(BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "CMYK":
        return transform
    # The name in a profile proves nothing; a few colours sent through it do.
    probe = _probe(mode)
    after = ImageCms.applyTransform(probe, transform)
    change = np.abs(np.asarray(after, np.int16) - np.asarray(probe.convert("RGB"), np.int16))
    return transform if change.max() > 2 else None


def _probe(mode: str) -> Image.Image:
    """Return a one-line picture with the corners, edges and inside of the colour cube."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    cube = np.stack(np.meshgrid(PROBE_STEPS, PROBE_STEPS, PROBE_STEPS), axis=-1)
    return Image.fromarray(cube.reshape(1, -1, 3).astype(np.uint8))
