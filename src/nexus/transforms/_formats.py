"""Which picture format some bytes are, and the Pillow class that reads it.

The class is called directly: `PIL.Image.open` would import every plugin before it gives up, and its limit on pixels
is a global that belongs to the caller's program.
"""

from __future__ import annotations

import importlib
from io import BytesIO

from PIL.ImageFile import ImageFile

from nexus.errors import require

__all__ = ["EXTENSIONS", "open_header", "sniff"]

JPEG_EXTENSIONS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}
EXTENSIONS = frozenset(
    {*JPEG_EXTENSIONS, ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".avif", ".heic", ".heif"}
)
"""File name extensions, in lower case, of the formats that are read here."""

READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pi_heif.as_plugin", "HeifImageFile"),
}

SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}

AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

OTHER = {
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop document",
    b"PK\x03\x04": "a zip archive",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\0\0\1\0": "an icon",
    b"<svg": "an SVG drawing",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"version https://git-lfs": "a Git LFS pointer, not the picture",
}


def sniff(data: bytes) -> str | None:
    """Return the format (a key of `READERS`) that the first bytes announce, or None."""
    for signature, name in SIGNATURES.items():
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
        return "AVIF" if brands & AVIF_BRANDS else "HEIC" if brands & HEIC_BRANDS else None
    return None


def describe_content(data: bytes) -> str:
    """Say what bytes that are no readable picture look like, for a reason in a list."""
    start = data[:64].lstrip().lower()
    for signature, what in OTHER.items():
        if data.startswith(signature) or start.startswith(signature):
            return f"{what}, which is not read here"
    if data[4:8] == b"ftyp":
        return "a video or another kind of media file, not a picture"
    if data[:512].isascii() and b"\0" not in data[:512]:
        return "text, not a picture"
    return f"not a picture in a known format (it starts with {data[:4].hex(' ')})"


def open_header(data: bytes, name: str) -> ImageFile:
    """Read the header of a picture; the pixels are decoded by its ``load()``.

    Args:
        data: the whole encoded file.
        name: its format, a key of `READERS`.

    Raises:
        MissingDependencyError: HEIC without the package that reads it.
        Exception: whatever Pillow raises for a damaged header.
    """
    module, reader = READERS[name]
    plugin = require(module, extra="heic") if name == "HEIC" else importlib.import_module(module)
    image: ImageFile = getattr(plugin, reader)(BytesIO(data))
    return image
