"""A classifier that is a few additions, and pictures for it: what it answers can be said by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nexus.datasets import LabelledImages
from nexus.engines.predictor import Predictor
from nexus.models.base import NexusModule
from nexus.transforms.preprocess import PreprocessSpec

SIDE = 16


class Halves(NexusModule):
    """Reads the mean colours of the left and of the right half."""

    def __init__(self, classes: int, labels: Sequence[str] | None = None) -> None:
        super().__init__({"num_classes": classes})
        generator = torch.Generator().manual_seed(1)
        self.head: nn.Module = nn.Linear(6, classes)
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator))
        self.labels = None if labels is None else tuple(labels)
        self.preprocess = PreprocessSpec(resize=(SIDE, SIDE), crop=None, interpolation="nearest", decode="exact")

    def forward(self, images: Tensor, *, outputs: Sequence[str] | None = None) -> Any:
        halves = images.chunk(2, dim=3)
        embeddings = torch.cat([half.mean((2, 3)) for half in halves], dim=1)
        return self.finish({"embeddings": embeddings}, self.wanted(outputs))


def predictor(classes: int = 4, labels: Sequence[str] | None = None) -> Predictor:
    return Predictor(Halves(classes, labels), engine="eager", device="cpu", batch_size=5, workers=1)


def pixels(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Pictures of two colours, (N, 32, 32, 3)."""
    colours = np.random.default_rng(seed).integers(256, size=(count, 1, 2, 3), dtype=np.uint8)
    return np.repeat(np.repeat(colours, 32, axis=1), 16, axis=2)


def dataset(count: int = 23, classes: Sequence[str] = ("a", "b", "c", "d"), seed: int = 0) -> LabelledImages:
    targets = np.random.default_rng(seed + 1).integers(len(classes), size=count)
    return LabelledImages(list(pixels(count, seed)), targets, tuple(classes), "colours")


def logits_of(model: NexusModule, pictures: Sequence[Any], size: int = SIDE, flip: bool = False) -> NDArray[Any]:
    """What the model says, without a predictor: areas of one colour stay what they are at any size."""
    spec = model.preprocess
    rows = []
    for picture in pictures:
        image = torch.from_numpy(np.ascontiguousarray(picture[:: 32 // size, :: 32 // size])).permute(2, 0, 1) / 255
        image = (image - torch.tensor(spec.mean)[:, None, None]) / torch.tensor(spec.std)[:, None, None]
        with torch.inference_mode():
            rows.append(model((image.flip(2) if flip else image)[None])["logits"][0].double().numpy())
    return np.array(rows)
