"""The usual ways of turning a folder of photographs into an index, which nexus is measured against.

Each is a class: `__init__` loads the model, a call does the whole work on some files and returns the FAISS index. They
run the same network as nexus (ViT-S/14 at 224) with random weights, which are as fast as any.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from PIL import Image

from nexus.transforms.preprocess import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["available"]

SIZE, RESIZE, DIMS = 224, 256, 384


class Script:
    """transformers, one picture at a time: what most people write first (Example 5 of "LVM - Large Vision Model").

    The processor's settings are those of ``facebook/dinov2-small`` (``preprocessor_config.json``).
    """

    def __init__(self) -> None:
        logging.getLogger("transformers").setLevel(logging.ERROR)  # it says that it does without torchvision
        from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

        self.processor = BitImageProcessor(
            size={"shortest_edge": RESIZE}, crop_size={"height": SIZE, "width": SIZE}, resample=3,
            image_mean=list(IMAGENET_MEAN), image_std=list(IMAGENET_STD),
        )  # fmt: skip
        config = Dinov2Config(
            hidden_size=DIMS, num_hidden_layers=12, num_attention_heads=6, patch_size=14, image_size=518
        )
        self.model = Dinov2Model(config).eval()

    def extract_features(self, image_path: Path) -> np.ndarray:
        image = Image.open(image_path).convert("RGB")
        inputs = self.processor(images=image, return_tensors="pt")

        with torch.no_grad():
            outputs = self.model(**inputs)
            features = outputs.last_hidden_state[:, 0, :].cpu().numpy()

        return features.flatten()

    def __call__(self, image_paths: Sequence[Path]) -> Any:
        features_list = []
        for img_path in image_paths:
            features = self.extract_features(img_path)
            features_list.append(features)
        return _index(np.array(features_list))


class Timm:
    """timm as its users run it: batches of 32 from a `DataLoader` with two workers, eager fp32, inference mode.

    The model is built for 224, so its position embeddings are not resampled at each call. The workers stay alive.
    """

    def __init__(self, workers: int = 2) -> None:
        import timm

        self.model = timm.create_model("vit_small_patch14_dinov2", img_size=SIZE, num_classes=0).eval()
        self.transform = timm.data.create_transform(
            (3, SIZE, SIZE), interpolation="bicubic", crop_pct=SIZE / RESIZE, mean=IMAGENET_MEAN, std=IMAGENET_STD
        )
        self.workers = workers
        self._loaders: dict[tuple[Path, ...], Any] = {}

    def __call__(self, image_paths: Sequence[Path]) -> Any:
        with torch.inference_mode():
            features = [self.model(images).numpy() for images in self._loader(tuple(image_paths))]
        return _index(np.concatenate(features))

    def _loader(self, paths: tuple[Path, ...]) -> Any:
        if paths not in self._loaders:
            dataset = _Files(paths, self.transform)
            self._loaders[paths] = torch.utils.data.DataLoader(
                dataset, batch_size=32, num_workers=self.workers, persistent_workers=self.workers > 0
            )
        return self._loaders[paths]


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, paths: Sequence[Path], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> torch.Tensor:
        with Image.open(self.paths[place]) as image:
            return self.transform(image.convert("RGB"))


def _index(features: np.ndarray) -> Any:
    index = faiss.IndexFlatL2(features.shape[1])
    index.add(features.astype("float32"))
    return index


RIVALS: dict[str, tuple[str, Callable[[], Callable[[Sequence[Path]], Any]]]] = {
    "the usual script (transformers)": ("transformers", Script),
    "timm, DataLoader of two workers": ("timm", Timm),
}


def available() -> dict[str, Callable[[Sequence[Path]], Any]]:
    """Return name -> rival, loaded, of those whose library is installed and can be imported."""
    loaded = {}
    for name, (library, load) in RIVALS.items():
        if importlib.util.find_spec(library) is not None:
            with suppress(ImportError, RuntimeError):  # a torchvision that does not fit torch breaks timm at its import
                loaded[name] = load()
    return loaded
