"""Tiny models, and files to run them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_vit import SIZE, TinyViT


@pytest.fixture
def model() -> TinyViT:
    return TinyViT().eval()


@pytest.fixture
def classifier() -> TinyViT:
    return TinyViT(num_classes=7).eval()


@pytest.fixture
def pixels() -> np.ndarray:
    """(6, 32, 32, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twenty JPEG files that all differ; numbers 3 and 11 are no images."""
    rng, paths = np.random.default_rng(1), []
    for number in range(20):
        path = tmp_path / f"{number:02}.jpg"
        if number in (3, 11):
            path.write_text("not a picture")
        else:
            Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return paths
