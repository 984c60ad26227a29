"""`open_image`: a picture from any source, upright, in 8-bit sRGB. No source is trusted; each failure has a reason."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from nexus.errors import ConfigError, ImageError, MissingDependencyError
from nexus.transforms._colour import scale_to_bytes, to_srgb
from nexus.transforms._formats import EXTENSIONS, describe_content, open_header, sniff

__all__ = [
    "EXTENSIONS",
    "EncodedImage",
    "ImageLike",
    "Limits",
    "Picture",
    "describe_source",
    "is_in_memory",
    "open_image",
    "read_file",
    "read_picture",
]

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """How much one picture may cost before it is given up.

    Attributes:
        max_pixels: width times height, read from the header before anything is decoded.
        max_bytes: size of the encoded file.
        seconds: time to read and decode, enforced where decoding runs in worker processes (`Decoder`).
        max_memory: address space of a worker process in bytes, where the platform can limit it.
    """

    max_pixels: int = 200_000_000
    max_bytes: int = GIB
    seconds: float = 20.0
    max_memory: int = 4 * GIB

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"Limits: {name} = {value!r}: must be positive")


@dataclass(frozen=True)
class EncodedImage:
    """The content of an image file, with a name to call it by: what a fetched address becomes."""

    data: bytes
    name: str

    def __str__(self) -> str:
        return self.name


class TensorLike(Protocol):
    """The part of a torch tensor that is used here, so that torch need not be imported."""

    def detach(self) -> Any: ...


ImageLike: TypeAlias = (
    str | os.PathLike[str] | os.PathLike[bytes] | bytes | EncodedImage | Image.Image | np.ndarray | TensorLike
)
"""A path; the bytes of an encoded file; a PIL image; an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16, bool or
floats 0..1; a tensor (3, H, W), (1, H, W) or (H, W) of the same types."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: upright, 8-bit RGB, sRGB; perhaps decoded smaller than it is stored.
        size: (width, height) of the upright original.
        sha256: of the very bytes that were decoded; None for pixels that came without a file, or where not wanted.
    """

    image: Image.Image
    size: tuple[int, int]
    sha256: str | None


def open_image(source: ImageLike, *, limits: Limits | None = None, min_side: int | None = None) -> Image.Image:
    """Open a picture: upright (EXIF applied), 8-bit RGB, converted to sRGB by its ICC profile.

    JPEG, PNG, WebP, TIFF, BMP, GIF (first frame) and AVIF; HEIC with the extra ``heic``. Transparency is dropped as by
    ``convert("RGB")``. Files are decoded in this process and without a time limit: for files of unknown origin use
    `Decoder`.

    Args:
        source: see `ImageLike`. An image that is already RGB, upright and sRGB is returned as it is, not copied.
        limits: None: the defaults of `Limits`.
        min_side: allow a JPEG to be decoded smaller by the DCT, both sides at least this long in pixels.

    Raises:
        ImageError: it cannot be read; `reason` says why.
    """
    return read_picture(source, limits or Limits(), min_side).image


MinSide: TypeAlias = int | Callable[[tuple[int, int]], int | None] | None
"""To which shortest side a JPEG may be decoded, or what says so for the (width, height) of the upright original."""


def read_picture(source: ImageLike, limits: Limits, min_side: MinSide = None, *, hashed: bool = True) -> Picture:
    """Do the work of `open_image`, and keep the original size and the hash of the decoded bytes.

    Args:
        source, limits, min_side: see `open_image`.
        hashed: False: leave the hash out.

    Raises:
        ImageError: it cannot be read.
    """
    name = describe_source(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, name, limits)
    if isinstance(source, np.ndarray):
        return _from_array(source, name, limits)
    if is_in_memory(source):
        return _from_array(_tensor_to_array(source, name), name, limits)
    if isinstance(source, EncodedImage):
        data = source.data
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        data = read_file(source, limits)
    else:
        raise ImageError(name, "is not a path, bytes, a PIL image, an array or a tensor")
    picture = _decode(data, name, limits, min_side)
    return replace(picture, sha256=hashlib.sha256(data).hexdigest()) if hashed else picture


def describe_source(source: object) -> str:
    """Return what to call a source in an error: its path or name, else what kind of object it is."""
    if isinstance(source, str | EncodedImage):
        return str(source)
    if isinstance(source, os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{len(source)} bytes"
    if isinstance(source, Image.Image):
        return os.fsdecode(getattr(source, "filename", "") or f"PIL image {source.width}x{source.height}")
    shape = getattr(source, "shape", None)
    return type(source).__name__ + (f" {tuple(shape)}" if isinstance(shape, tuple) else "")


def is_in_memory(source: object) -> bool:
    """Say whether a source holds pixels already (a PIL image, an array, a tensor): nothing is left to decode."""
    return isinstance(source, Image.Image | np.ndarray) or hasattr(source, "detach")


def read_file(path: str | os.PathLike[str] | os.PathLike[bytes], limits: Limits) -> bytes:
    """Read a regular file whole.

    Raises:
        ImageError: it is absent, forbidden, empty, too large, or no regular file (a pipe, device, socket or folder).
    """
    name = os.fsdecode(path)
    if isinstance(path, str) and path.lower().startswith(("http://", "https://")):
        raise ImageError(name, "is an address; nexus.datasets.fetch_image fetches it")
    try:
        _require_regular(os.stat(path).st_mode, name)
        # The file may have become a pipe since: never wait for its other end, never take it as our terminal.
        flags = sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
        with open(os.open(path, os.O_RDONLY | flags), "rb") as file:
            info = os.fstat(file.fileno())
            _require_regular(info.st_mode, name)
            if info.st_size > limits.max_bytes:
                raise ImageError(name, f"is {info.st_size:,} bytes long; the limit is {limits.max_bytes:,}")
            return file.read(info.st_size)  # a file that grows meanwhile is read as far as it went
    except FileNotFoundError:
        raise ImageError(name, "does not exist") from None
    except PermissionError:
        raise ImageError(name, "may not be read (permission denied)") from None
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ImageError(name, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _require_regular(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    raise ImageError(name, f"is a {kinds.get(stat.S_IFMT(mode), 'device')}, not a file")


def _decode(data: bytes, name: str, limits: Limits, min_side: MinSide) -> Picture:
    if not data:
        raise ImageError(name, "is empty")
    if len(data) > limits.max_bytes:
        raise ImageError(name, f"is {len(data):,} bytes long; the limit is {limits.max_bytes:,}")
    kind = sniff(data)
    if kind is None:
        raise ImageError(name, f"is {describe_content(data)}")
    try:
        with _quietly():
            image = open_header(data, kind)
            _check_pixels(image.size, name, limits)
            size = image.size
            if kind == "JPEG" and min_side is not None:
                _allow_scaling(image, min_side)
            scaled = image.size != size
            image.load()
            orientation = _orientation(image)
            picture = _upright(to_srgb(image), orientation)
    except ImageError:
        raise
    except MissingDependencyError as error:
        raise ImageError(name, f"is a HEIC picture: {error}") from error
    except MemoryError as error:
        raise ImageError(name, f"needs more memory to decode than the limit of {limits.max_memory:,} bytes") from error
    except Exception as error:  # decoders raise anything for damaged data
        detail = " ".join((str(error) or type(error).__name__).split())[:160]
        raise ImageError(name, f"is a damaged or truncated {kind} file ({detail})") from error
    if not scaled:  # as decoded: a TIFF has been turned by Pillow already
        size = picture.size
    elif orientation >= 5:
        size = size[::-1]
    return Picture(picture, size, None)


def _allow_scaling(image: ImageFile, min_side: MinSide) -> None:
    """Let a JPEG be decoded smaller, by 2, 4 or 8."""
    if callable(min_side):
        min_side = min_side(image.size[::-1] if _orientation(image) >= 5 else image.size)
    if min_side is not None:
        image.draft(None, (min_side, min_side))


_WARNINGS = threading.Lock()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Ignore Pillow's warnings: of damage that is harmless, or that raises as well. Their filters are global."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_pixels(size: tuple[int, int], name: str, limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageError(name, f"has {width}x{height} pixels; the limit is {limits.max_pixels:,}")
    if width * height == 0:
        raise ImageError(name, f"has no pixels ({width}x{height})")


TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (CIPA DC-008, tag 0x0112) -> what turns the stored picture upright."""


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - broken EXIF fails in many ways, and never fails the picture
        return 1
    return orientation if isinstance(orientation, int) and orientation in TRANSPOSE else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TRANSPOSE[orientation]) if orientation in TRANSPOSE else image


def _from_pillow(image: Image.Image, name: str, limits: Limits) -> Picture:
    _check_pixels(image.size, name, limits)
    try:
        image.load()
        upright = _upright(to_srgb(image), _orientation(image))
    except Exception as error:  # a lazily opened file fails only now
        raise ImageError(name, f"cannot be decoded ({str(error) or type(error).__name__})") from error
    return Picture(upright, upright.size, None)


def _tensor_to_array(tensor: Any, name: str) -> np.ndarray:
    """(C, H, W) or (H, W) tensor -> (H, W, C) or (H, W) array."""
    tensor = tensor.detach().cpu()
    if tensor.ndim == 3 and tensor.shape[0] not in (1, 3, 4):
        raise ImageError(name, "a tensor must be (3, H, W), (1, H, W) or (H, W)")
    array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return np.moveaxis(array, 0, -1) if array.ndim == 3 else array


def _from_array(array: np.ndarray, name: str, limits: Limits) -> Picture:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(name, "an array must be (H, W), (H, W, 3) or (H, W, 4), channels last")
    _check_pixels((array.shape[1], array.shape[0]), name, limits)
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # also refuses NaN
            raise ImageError(name, "floats must be within 0..1 (pixels, neither 0..255 nor normalised)")
    elif array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise ImageError(name, f"pixels must be uint8, uint16, bool or floats within 0..1, not {array.dtype}")
    image = Image.fromarray(np.ascontiguousarray(scale_to_bytes(array))).convert("RGB")
    return Picture(image, image.size, None)
