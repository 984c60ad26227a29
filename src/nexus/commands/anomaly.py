"""``nexus anomaly``: what is odd about pictures, from normal ones alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._collection import reloadable
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, find, name_of, open_predictor, refuse_changes, settings
from nexus.commands._verb import verb
from nexus.errors import ConfigError
from nexus.results import AnomalyMetrics, AnomalyResult, JudgedPicture

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from nexus.datasets.inspection import Inspection
    from nexus.engines.predictor import Predictor
    from nexus.evaluation.patch_core import Bank, PatchCore

__all__ = ["anomaly"]

MAP_SIDE = 720
"""Longer side, in pixels, of the picture under a heat map."""

ASPECT_SPREAD = 0.05
"""Share by which the shape of a picture may differ from that of the normal ones before it is mentioned."""


@verb
def anomaly(
    source: Any,
    *,
    normal: Any = None,
    bank: str | None = None,
    threshold: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto",
    coreset: Annotated[float, Field(gt=0, le=1)] | None = None,
    layers: str | Sequence[str] | None = None,
    seed: Annotated[int, Field(ge=0)] | None = None,
    save: str | None = None,
    masks: str | None = None,
    heatmaps: str | None = None,
    sheet: str | None = None,
    page: str | None = None,
    **options: Unpack[RunOptions],
) -> AnomalyResult:
    """Find defects and oddities, from normal pictures alone.

    For example ``nexus anomaly new --normal good --sheet odd.png``, with two folders of pictures. No defect need be
    known beforehand. What patches of normal pictures look like to a model is remembered, and a
    picture is as odd as its oddest patch is far from all that is remembered (PatchCore, arXiv:2106.08265). Pictures are
    seen whole, stretched to a square of 32 x 32 patches unless `size` says otherwise.

    Folders in the layout of MVTec AD are recognised: the one that holds ``train`` and ``test`` needs no `normal`, and
    its masks are found.

    Args:
        source: the pictures to be judged, or folders of them.
        normal: normal pictures of the same kind, two or more, or folders of them; ten or more give a sound threshold.
        bank: a file that `save` wrote, in place of normal pictures.
        threshold: scores from here on are odd; ``auto``: three standard deviations above the mean of what the normal
            pictures score, each compared with the others alone.
        coreset: share of the patches of normal pictures that is remembered; by default 0.1.
        layers: outputs of the model to take patches from, e.g. ``pyramid.8,pyramid.16`` or ``features.7``; by default
            the maps of stride 8 and 16, or the final patch tokens of a plain ViT.
        seed: of the random choice of what is remembered; by default 0.
        save: write what was remembered to this file, which `bank` takes the next time.
        masks: a folder of masks, ``<defect>/<name>_mask.png`` or ``<name>_mask.png``, black where nothing is odd: with
            them the result says how right the scores are.
        heatmaps: write a heat map for each picture into this folder: light where it is odd.
        sheet: write a contact sheet to this PNG file: the oddest first, with their heat maps.
        page: write the same to this HTML file.

    Returns:
        The pictures by score, and which of them are odd.

    Raises:
        ConfigError: neither normal pictures nor a bank, or both.
        InputError: too few normal pictures or no picture can be read, or a mask is missing or of another size.
        WeightsError: the bank is of another model.
    """
    from nexus.datasets.inspection import find_inspection

    skips = Skips(options["strict"])
    found = find_inspection(source)
    if normal is None and bank is None:
        normal = found.normal
    if (normal is None) == (bank is None):
        raise ConfigError(
            "say normal= (normal pictures of the same kind) or bank= (what was saved of them), one of them"
        )
    goods = list(find(normal, skips)) if normal is not None else []
    pictures, again = _without(find(found.pictures, skips), goods)
    if not pictures:
        raise skips.nothing("no picture", source)
    truth = _known(pictures, found, masks)
    config = {"coreset": coreset, "layers": layers.split(",") if isinstance(layers, str) else layers, "seed": seed}
    core = _load(bank, config, options) if bank else _fit(goods, normal, config, skips, options)
    assert core.bank is not None
    if save:
        core.save(save)
    limit = core.bank.calibration.threshold if threshold == "auto" else threshold
    judged = _judge(core, pictures, truth, limit, heatmaps, skips, options)
    if not judged:
        raise skips.nothing("no picture", source)
    judged.sort(key=lambda one: -one.score)
    result = AnomalyResult(
        model=core.bank.model,
        normals=core.bank.pictures,
        patches=len(core.patches),
        threshold=limit,
        calibrated=len(core.bank.calibration.scores) if threshold == "auto" else 0,
        pictures=tuple(one.result(limit) for one in judged),
        metrics=_measure(judged),
        bank=save,
        notes=_notes(judged, core.bank, again),
        sheet=sheet,
        page=page,
        skipped=tuple(skips),
    )
    if sheet or page:
        _draw(core, judged, result)
    return result


@dataclass(frozen=True)
class _Truth:
    """What is known of a picture: its folder's name, and where its mask is."""

    kind: str | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class _Judged:
    """A picture and what was found.

    Attributes:
        name, picture: what it is called, and what was given.
        score: how odd it is.
        grid: (h, w) distances of its patches.
        aspect: width over height.
        kind: as in `_Truth`.
        heat, mask: (H, W), kept only where there are masks to compare with.
        file: its heat map, if that was drawn.
    """

    name: str
    picture: Any
    score: float
    grid: np.ndarray
    aspect: float
    kind: str | None
    heat: np.ndarray | None
    mask: np.ndarray | None
    file: str | None

    @property
    def truth(self) -> bool | None:
        """Whether it is known to be odd."""
        from nexus.datasets.inspection import GOOD

        if self.mask is not None:
            return bool(self.mask.any())
        return None if self.kind is None else self.kind != GOOD

    def result(self, threshold: float) -> JudgedPicture:
        odd = self.score >= threshold
        return JudgedPicture(source=self.name, score=self.score, odd=odd, kind=self.kind, heatmap=self.file)


def _without(pictures: Iterable[Any], normal: Sequence[Any]) -> tuple[list[Any], int]:
    """Leave out what is normal by definition: it would be compared with itself. Also return how many that were."""
    known = {os.path.realpath(one) for one in normal if isinstance(one, str | os.PathLike)}
    every = list(pictures)
    kept = [one for one in every if not (isinstance(one, str | os.PathLike) and os.path.realpath(one) in known)]
    return kept, len(every) - len(kept)


def _fit(
    goods: Sequence[Any], normal: Any, config: Mapping[str, Any], skips: Skips, options: Mapping[str, Any]
) -> PatchCore:
    from nexus.evaluation.patch_core import PatchCore

    if not goods:
        raise skips.nothing("no normal picture", normal)
    said = {name: value for name, value in config.items() if value is not None}
    core, named = PatchCore(_seeing_all(options), said), reloadable(options["model"])
    return core.fit(goods, name=named, total=len(goods), progress=options["progress"], on_skip=skips.decoded)


def _seeing_all(options: Mapping[str, Any]) -> Predictor:
    """The predictor with a spec that crops nothing; a ready one is taken as it is."""
    from nexus.engines.predictor import Predictor
    from nexus.evaluation.patch_core import whole_picture

    own = open_predictor(options)
    if isinstance(options["model"], Predictor):
        return own
    spec = whole_picture(own.model, options["size"]).replace(decode=own.preprocess.decode)
    return own.like(preprocess=spec)


def _load(bank: str, config: Mapping[str, Any], options: Mapping[str, Any]) -> PatchCore:
    """What was saved, with the model and the preprocessing that it was made with."""
    from nexus.evaluation.patch_core import Bank, PatchCore

    made = Bank.read(bank)
    asked = {name: list(value) if name == "layers" and value else value for name, value in config.items()}
    own = {"coreset": made.config.coreset, "layers": list(made.layers), "seed": made.config.seed}
    refuse_changes({**options, **asked}, {**settings(made.preprocess), **own}, bank, "make a new bank with it")
    model = made.model if options["model"] is None else options["model"]
    return PatchCore.load(bank, open_predictor({**options, "model": model}, preprocess=made.preprocess))


def _known(pictures: Sequence[Any], found: Inspection, masks: str | None) -> list[_Truth]:
    from nexus.datasets.inspection import find_mask

    folder = Path(masks) if masks else found.masks
    if folder is None and not found.labelled:
        return [_Truth()] * len(pictures)
    paths = [Path(name_of(one, index)) for index, one in enumerate(pictures)]
    return [_Truth(path.parent.name, find_mask(path, folder) if folder else None) for path in paths]


def _judge(
    core: PatchCore,
    pictures: Sequence[Any],
    truth: Sequence[_Truth],
    threshold: float,
    heatmaps: str | None,
    skips: Skips,
    options: Mapping[str, Any],
) -> list[_Judged]:
    from nexus.datasets.inspection import read_mask

    has_masks = any(one.mask for one in truth)
    files = _file_names([name_of(one, index) for index, one in enumerate(pictures)], heatmaps) if heatmaps else None
    judged = []
    for scored in core.stream(pictures, total=len(pictures), progress=options["progress"], on_skip=skips.decoded):
        rows = zip(scored.batch.indices, scored.batch.decoded, *scored[1:], strict=True)
        for index, decoded, score, grid, heat in rows:
            name, known, size = name_of(pictures[index], index), truth[index], decoded.size
            assert size is not None
            one = _Judged(
                name=name,
                picture=pictures[index],
                score=float(score),
                grid=grid,
                aspect=size[0] / size[1],
                kind=known.kind,
                heat=heat if has_masks else None,
                mask=read_mask(known.mask, size, heat.shape) if known.mask else None,
                file=files[index] if files else None,
            )
            if one.file:
                _draw_map(core, one, heat, threshold)
            judged.append(one)
    return judged


def _measure(judged: Sequence[_Judged]) -> AnomalyMetrics | None:
    """How right the scores are, if both odd and normal pictures are known."""
    import numpy as np

    from nexus.metrics.anomaly import aupro, auroc, best_f1, pixel_auroc

    known = [one for one in judged if one.truth is not None]
    truth = [bool(one.truth) for one in known]
    if len(set(truth)) < 2:
        return None
    scores = [one.score for one in known]
    best = best_f1(scores, truth)
    of_images = {"image_auroc": auroc(scores, truth), "best_f1": best.f1, "best_f1_threshold": best.threshold}
    of_pixels: dict[str, float] = {}
    maps = [one.heat for one in known if one.heat is not None]
    if maps:
        masks = [np.zeros(maps[0].shape, bool) if one.mask is None else one.mask for one in known]
        of_pixels = {"pixel_auroc": pixel_auroc(maps, masks), "aupro": aupro(maps, masks)}
    return AnomalyMetrics(pictures=len(known), odd=sum(truth), **of_images, **of_pixels)


def _notes(judged: Sequence[_Judged], bank: Bank, again: int) -> tuple[str, ...]:
    said = []
    if again:
        said.append(f"{again} of the pictures are among the normal ones and were not judged")
    shaped = sum(abs(one.aspect / bank.aspect - 1) > ASPECT_SPREAD for one in judged)
    if shaped:
        said.append(
            f"{shaped} pictures are not {bank.aspect:.2f} times as wide as high, as the normal ones are: stretched to "
            "the same square, they may look odd for that alone"
        )
    return tuple(said)


def _file_names(names: Sequence[str], folder: str) -> list[str]:
    """Where each heat map goes: the folders below what all pictures have in common are kept."""
    parents = [os.path.dirname(os.path.abspath(name)) for name in names]
    common = os.path.commonpath(parents) if parents else ""
    places = [os.path.relpath(os.path.abspath(name), common) for name in names]
    stems = [os.path.splitext(place)[0] for place in places]
    chosen = [stem if stems.count(stem) == 1 else place for stem, place in zip(stems, places, strict=True)]
    return [os.path.join(folder, f"{one}.png") for one in chosen]


def _draw_map(core: PatchCore, one: _Judged, heat: np.ndarray, threshold: float) -> None:
    from nexus.visualization.heatmap import draw_heatmap

    assert core.bank is not None
    assert one.file is not None
    calibration = core.bank.calibration
    low, high = calibration.colours
    said = "odd" if one.score >= threshold else "not odd"
    outlined = f"outlined: {calibration.map_threshold:#.3g} and more"
    note = f"score {one.score:.2f}, {said} at threshold {threshold:.2f}; {outlined}"
    drawn = draw_heatmap(
        _photo(core, one.picture, MAP_SIDE),
        heat,
        low=low,
        high=high,
        threshold=calibration.map_threshold,
        title=os.path.basename(one.name),
        note=note,
    )
    os.makedirs(os.path.dirname(one.file) or ".", exist_ok=True)
    drawn.save(one.file)


def _photo(core: PatchCore, picture: Any, side: int) -> Image:
    """The part of a picture that was judged: all of it, unless a ready predictor crops."""
    from PIL.Image import fromarray

    from nexus.transforms.image import open_image
    from nexus.transforms.preprocess import apply

    spec = core.predictor.preprocess
    return open_image(picture, min_side=side) if spec.crop is None else fromarray(apply(open_image(picture), spec))


def _draw(core: PatchCore, judged: Sequence[_Judged], result: AnomalyResult) -> None:
    from nexus.commands._sheet import counted, draw, row
    from nexus.visualization.contact_sheet import THUMBNAIL, Tile
    from nexus.visualization.heatmap import overlay

    assert core.bank is not None
    low, high = core.bank.calibration.colours

    def tile(one: _Judged) -> Tile:
        def mapped() -> Image:
            return overlay(_photo(core, one.picture, THUMBNAIL), one.grid, low=low, high=high)

        return Tile(image=mapped, name=os.path.basename(one.name), note=f"score {one.score:.2f}", link=one.name)

    rows = []
    for title, odd in (("odd", True), ("not odd", False)):
        tiles = [tile(one) for one in judged if (one.score >= result.threshold) == odd]
        rows += [row(title, tiles, counted(len(tiles)))] if tiles else []
    note = f"{result.model}, {result.patches:,} patches of {result.normals} normal pictures"
    draw(rows, result.sheet, result.page, title=f"oddities, threshold {result.threshold:.2f}", note=note)
