from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from nexus.assets import PHOTOS
from nexus.errors import ConfigError, ImageError
from nexus.transforms.image import EncodedImage, Limits, open_image, read_picture


def gradient(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture without symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / (width - 1), 255 * y / (height - 1), 255 * (x + 2 * y) / (width + 2 * height)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a: Image.Image, b: Image.Image) -> float:
    assert a.size == b.size
    return float(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).mean())


LOSSLESS = {"png": {}, "webp": {"lossless": True, "exact": True}, "tiff": {"compression": "tiff_lzw"}, "bmp": {}}
LOSSY = {"jpeg": {"quality": 95}, "webp": {"quality": 95}, "avif": {"quality": 90}, "gif": {}}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_are_exact(kind: str) -> None:
    image = gradient()
    assert difference(open_image(encode(image, kind, **LOSSLESS[kind])), image) == 0


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_are_near(kind: str) -> None:
    image = gradient()
    opened = open_image(encode(image, kind, **LOSSY[kind]))
    assert opened.mode == "RGB"
    assert difference(opened, image) < (12 if kind == "gif" else 4)


def test_photographs_equal_pillow() -> None:
    for path in sorted(PHOTOS.glob("*.*g")):
        with Image.open(path) as image:
            profile, expected = image.info.get("icc_profile"), ImageOps.exif_transpose(image).convert("RGB")
        if profile is None:
            assert difference(open_image(path), expected) == 0


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_png_of_each_mode_is_what_convert_makes_of_it(mode: str) -> None:
    image = gradient().convert("RGBA" if mode in ("RGBA", "LA") else "RGB")
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image = image.convert(mode)
    assert difference(open_image(encode(image, "png")), image.convert("RGB")) == 0


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 250, 5))])
def test_palette_transparency_shows_the_colours(transparency: int | bytes) -> None:
    image = gradient().convert("P", palette=Image.Palette.ADAPTIVE, colors=50)
    data = encode(image, "png", transparency=transparency)
    assert difference(open_image(data), image.convert("RGB")) == 0


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 128, 129, 300, 1000, 32768, 65000, 65535]], np.uint16)
    grey = np.asarray(open_image(encode(Image.fromarray(values), kind)))
    assert grey[0, :, 0].tolist() == [round(value / 257) for value in values[0].tolist()]


def test_16_bit_colour_png() -> None:
    row = b"".join(struct.pack(">3H", value * 257, 65535 - value * 257, 0) for value in range(256))
    data = png(256, 1, zlib.compress(b"\0" + row), depth=16)
    pixels = np.asarray(open_image(data))[0]
    np.testing.assert_array_equal(pixels[:, 0], np.arange(256))
    np.testing.assert_array_equal(pixels[:, 1], 255 - np.arange(256))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[-10, 0, 10]], np.int32), [0, 128, 255]),
        (np.array([[0, 257, 65535]], np.int32), [0, 1, 255]),
    ],
)
def test_tiff_of_wide_samples(array: np.ndarray, expected: list[int]) -> None:
    assert np.asarray(open_image(encode(Image.fromarray(array), "tiff")))[0, :, 0].tolist() == expected


def test_cmyk_jpeg_is_not_inverted() -> None:
    image = gradient()
    data = encode(image.convert("CMYK"), "jpeg", quality=95)
    assert b"Adobe" in data
    assert difference(open_image(data), image) < 4
    assert open_image(encode(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "jpeg")).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(gradient(), kind, exif=exif, **({"quality": 95} if kind in ("jpeg", "avif") else {}))
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert difference(open_image(data), expected) == 0
    picture = read_picture(data, Limits(), min_side=4)
    assert picture.size == expected.size
    assert (picture.size == (32, 48)) == (orientation >= 5)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_does_not_fail_the_picture(exif: bytes) -> None:
    for kind in ("jpeg", "png", "webp"):
        assert open_image(encode(gradient(), kind, exif=exif)).size == (48, 32)


def test_an_orientation_that_does_not_exist() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert open_image(encode(gradient(), "jpeg", exif=exif)).size == (48, 32)


def linear_profile() -> bytes:
    """An RGB profile of sRGB's primaries with a linear curve, written by hand (ICC.1:2010, version 2)."""

    def s15(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    xyz = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7141)}
    tags = {name: b"XYZ \0\0\0\0" + b"".join(map(s15, value)) for name, value in xyz.items()}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + s15(0.9642) + s15(1.0) + s15(0.8249)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), b"curv\0\0\0\0\0\0\0\0")
    # The name lies, as names do: the pixels are not sRGB.
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"sRGB\0" + bytes(78 + 5)
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, at, len(content))
        body, at = body + content, at + len(content)
    head = struct.pack(">I4sI4s4s4s", at, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(28) + s15(0.9642) + s15(1.0) + s15(0.8249)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


def test_a_profile_is_applied_whatever_its_name() -> None:
    image = gradient()
    opened = np.asarray(open_image(encode(image, "png", icc_profile=linear_profile())), np.float64) / 255
    linear = np.asarray(image, np.float64) / 255
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    assert np.abs(opened - expected).max() < 3 / 255


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_ignored() -> None:
    image = gradient()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"not a profile", linear_profile()[:100]):
        assert difference(open_image(encode(image, "png", icc_profile=profile)), image) == 0
    grey = image.convert("L")  # an RGB profile does not fit a grey picture
    assert difference(open_image(encode(grey, "png", icc_profile=linear_profile())), grey.convert("RGB")) == 0
    cmyk = encode(image.convert("CMYK"), "jpeg", quality=95, icc_profile=srgb)
    assert difference(open_image(cmyk), image) < 4


def test_gif_and_webp_animations_give_the_first_picture() -> None:
    first, second = Image.new("RGB", (9, 7), "red"), Image.new("RGB", (9, 7), "blue")
    for kind in ("gif", "webp", "png", "tiff", "avif"):
        data = encode(first, kind, save_all=True, append_images=[second])
        red, _, blue = open_image(data).getpixel((4, 3))  # type: ignore[misc]
        assert red > 240
        assert blue < 20


def test_scaled_decoding_keeps_the_floor_and_the_original_size() -> None:
    data = encode(gradient(1000, 700), "jpeg")
    for floor, size in [(88, (125, 88)), (89, (250, 175)), (175, (250, 175)), (176, (500, 350)), (351, (1000, 700))]:
        picture = read_picture(data, Limits(), min_side=floor)
        assert picture.size == (1000, 700)
        assert min(picture.image.size) >= floor or floor == 88
        assert picture.image.size == size or floor == 88
    assert min(open_image(data, min_side=87).size) >= 87
    assert open_image(encode(gradient(), "png"), min_side=4).size == (48, 32)


def test_heic() -> None:
    """The file is `gradient()` written by pillow-heif 1.8 with EXIF orientation 6, which HEIF says to ignore."""
    picture = read_picture(Path(__file__).parent / "data" / "gradient.heic", Limits())
    assert picture.size == (48, 32)
    assert difference(picture.image, gradient()) < 4


def test_heic_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    header = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)
    with pytest.raises(ImageError, match="damaged or truncated HEIC"):
        open_image(header)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.delitem(sys.modules, "pi_heif.as_plugin", raising=False)
    with pytest.raises(ImageError, match=r'pip install "nexus-vision\[heic\]"'):
        open_image(header)


# -- pixels in memory -------------------------------------------------------------------------------------------------


def test_arrays_and_tensors() -> None:
    image = gradient()
    array = np.asarray(image)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    wide = array.astype(np.uint16) * np.uint16(257)
    same = [
        array,
        wide,
        array[:, ::-1][:, ::-1],
        array / 255,
        (array / 255).astype(np.float16),
        image,
        tensor,
        tensor / 255,
    ]
    same += [np.dstack([array, array[..., :1]]), (tensor / 255).to(torch.float64).requires_grad_()]
    for source in same:
        assert difference(open_image(source), image) == 0
    grey = array[..., 0]
    for source in (
        grey,
        grey[..., None],
        torch.from_numpy(grey.copy()),
        torch.from_numpy(grey.copy())[None],
        grey / 255,
    ):
        assert difference(open_image(source), Image.fromarray(grey).convert("RGB")) == 0
    assert np.asarray(open_image(grey > 99)).tolist() == (np.repeat((grey > 99)[..., None], 3, 2) * 255).tolist()
    assert difference(open_image((tensor / 255).bfloat16()), image) < 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (np.zeros((3, 20, 20), np.uint8), "channels last"),
        (np.zeros((2, 3, 20, 20), np.uint8), "channels last"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        (np.full((4, 4, 3), 200.0), "within 0..1"),
        (np.full((4, 4), np.nan), "within 0..1"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4), complex), "complex"),
        (torch.zeros(20, 20, 3), r"\(3, H, W\)"),
        (torch.full((3, 4, 4), -1.0), "within 0..1"),
        (object(), "not a path"),
        (None, "not a path"),
    ],
)
def test_objects_that_are_no_pictures(source: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        open_image(source)


def test_a_lazy_image_of_the_caller(tmp_path: Path) -> None:
    data = encode(gradient(), "png")
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(ImageError, match=r"cut\.png: cannot be decoded"):
        open_image(image)


# -- what is never trusted --------------------------------------------------------------------------------------------


def png(width: int, height: int, body: bytes, depth: int = 8) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header() -> None:
    bomb = png(30_000, 30_000, zlib.compress(bytes(1_000_000)))
    tracemalloc.start()
    with pytest.raises(ImageError, match="30000x30000 pixels; the limit is 200,000,000"):
        open_image(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_limits() -> None:
    data = encode(gradient(), "png")
    with pytest.raises(ImageError, match="48x32 pixels; the limit is 1,000"):
        open_image(data, limits=Limits(max_pixels=1000))
    with pytest.raises(ImageError, match="bytes long; the limit is 10"):
        open_image(data, limits=Limits(max_bytes=10))
    with pytest.raises(ImageError, match="limit is 1,000"):
        open_image(np.zeros((100, 100), np.uint8), limits=Limits(max_pixels=1000))
    with pytest.raises(ConfigError, match="seconds = 0"):
        Limits(seconds=0)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "bmp", "gif", "avif"])
def test_a_truncated_file_is_an_error(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(noise, kind)
    for length in (len(data) // 2, len(data) // 10, 12):
        with pytest.raises(ImageError, match=r"damaged or truncated|not a picture|media file"):
            open_image(data[:length])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello, world\n" * 9, "text, not a picture"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"%PDF-1.7", "a PDF"),
        (b"\0\0\0\x18ftypisom" + bytes(30), "a video"),
        (bytes(range(128, 250)), "it starts with 80 81 82 83"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_other_things_named_jpg(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(path)
    assert caught.value.source == str(path)


def test_a_png_named_jpg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(gradient(), "png"))
    assert difference(open_image(path), gradient()) == 0


def test_things_that_are_not_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        reasons = {
            "pipe": "a pipe",
            "folder": "a folder",
            "socket": "a socket",
            "loop": "symbolic links",
            "absent": "exist",
        }
        for name, reason in reasons.items():
            with pytest.raises(ImageError, match=reason):
                open_image(tmp_path / f"{name}.jpg")
    for path in ("/dev/zero", "/dev/tty"):
        with pytest.raises(ImageError, match="a device"):
            open_image(path)
    with pytest.raises(ImageError, match="is an address"):
        open_image("https://example.org/x.jpg")


def test_the_hash_is_of_the_decoded_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(gradient(), "png"))
    assert read_picture(path, Limits()).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_picture(gradient(), Limits()).sha256 is None
    assert read_picture(EncodedImage(path.read_bytes(), "n"), Limits()).sha256 is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    for kind in ("png", "jpeg", "tiff"):
        assert open_image(encode(Image.new("RGB", size, "red"), kind), min_side=512).size == size


def test_no_torch_is_imported() -> None:
    code = "import sys, nexus.transforms.image; print('torch' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


SAMPLES = [encode(gradient(20, 12), kind) for kind in ("jpeg", "png", "webp", "tiff", "bmp", "gif", "avif")]
SAMPLES += [
    encode(gradient(20, 12), "tiff", compression="tiff_lzw"),
    encode(gradient(20, 12), "jpeg", progressive=True),
]
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
SMALL = Limits(max_pixels=1_000_000)


def opens_or_says_why(data: bytes) -> None:
    """Any other exception, or a warning, fails the test."""
    with contextlib.suppress(ImageError):
        image = open_image(data, limits=SMALL, min_side=8)
        assert image.mode == "RGB"
        assert image.size[0] * image.size[1] <= 1_000_000


@quick
@given(st.binary(max_size=300))
def test_any_bytes_open_or_say_why(data: bytes) -> None:
    opens_or_says_why(data)


@quick
@given(st.sampled_from(SAMPLES), st.integers(0, 400), st.binary(max_size=100))
def test_any_bytes_behind_a_true_start_open_or_say_why(sample: bytes, keep: int, tail: bytes) -> None:
    opens_or_says_why(sample[:keep] + tail)


@settings(quick, max_examples=400)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_flipped_and_cut_files_open_or_say_why(sample: bytes, flips: list[tuple[float, int]], cut: float) -> None:
    data = bytearray(sample)
    for where, mask in flips:
        data[int(where * len(data))] ^= mask
    opens_or_says_why(bytes(data[: max(1, int(cut * len(data)))] if cut < 0.5 else data))


def test_how_small_a_jpeg_may_be_decoded_is_asked_for_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (640, 480)).save(tmp_path / "lying.jpg", exif=exif)
    Image.new("RGB", (640, 480)).save(tmp_path / "whole.png")
    asked: list[tuple[int, int]] = []

    def floor(size: tuple[int, int]) -> int:
        asked.append(size)
        return 200

    picture = read_picture(tmp_path / "lying.jpg", Limits(), floor)
    assert (picture.image.size, picture.size) == ((240, 320), (480, 640))
    assert read_picture(tmp_path / "whole.png", Limits(), floor).image.size == (640, 480)
    assert asked == [(480, 640)]
