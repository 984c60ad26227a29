"""Adds rows to a feature store until it is killed, and says after each addition which ones. Imports no torch."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nexus.evaluation._feature_store import FeatureStore

WIDTHS = (3, 2)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def row(number: int) -> NDArray[np.float32]:
    return np.float32(number) + np.arange(sum(WIDTHS), dtype=np.float32) / 8


def main(folder: str, seed: str) -> None:
    """Additions that overlap with those of others and with each other."""
    store, draw = FeatureStore(Path(folder)), random.Random(int(seed))
    for step in range(1 << 30):
        numbers = [draw.randrange(40 * step, 40 * step + 60) for _ in range(draw.randrange(1, 30))]
        store.add([key(number) for number in numbers], np.stack([row(number) for number in numbers]), WIDTHS)
        print(*numbers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
