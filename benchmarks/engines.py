"""Every engine that can run here beside eager fp32, on photographs: speed, spread and agreement.

python benchmarks/engines.py dinov2_vits14 --mirror [--weights FILE] [--batch 8] [--pairs 7] [--outputs tokens ...]
"""

from __future__ import annotations

import argparse
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from nexus.assets import PHOTOS
from nexus.engines import Engine, TimingTable, agreements, build, compare, names, resolve_device
from nexus.engines.base import Outputs
from nexus.errors import EngineError
from nexus.models.base import NexusModule
from nexus.models.loading import load_model
from nexus.transforms.decode import Decoder
from nexus.transforms.preprocess import PreprocessSpec

SUFFIXES = {".jpg", ".webp", ".png"}


def photographs(spec: PreprocessSpec, count: int) -> np.ndarray:
    """Return (count, H, W, 3) uint8 pixels of the shipped photographs, repeated if they are too few."""
    paths = sorted(path for path in PHOTOS.iterdir() if path.suffix in SUFFIXES)
    with Decoder(spec) as decoder:
        pixels = [decoded.pixels for decoded in decoder.stream(paths) if decoded.pixels is not None]
    return np.stack(list(islice(cycle(pixels), count)))


def measure(model: NexusModule, outputs: tuple[str, ...], batch: int, pairs: int, wanted: list[str]) -> TimingTable:
    """Time the engines on one batch."""
    device = resolve_device("auto")
    pixels = photographs(model.preprocess, batch)
    engines: dict[str, Engine] = {}
    for name in ["eager", *(name for name in names(device) if name != "eager" and (not wanted or name in wanted))]:
        try:
            engines[name] = build(name, model, outputs, device, pixels, spec=model.preprocess)
        except EngineError as error:
            print(f"{name}: {error}")

    def run(engine: Engine) -> Outputs:
        return engine(pixels)

    return compare(
        {name: lambda engine=engine: run(engine) for name, engine in engines.items()},
        "eager",
        pairs=pairs,
        units=batch,
        agreement=lambda reference, candidate: min(agreements(reference, candidate).values()),
    )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--mirror", action="store_true", default=None)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--outputs", nargs="+", default=["embeddings"])
    parser.add_argument("--engines", nargs="+", default=[], help="all that can run here, if not given")
    options = parser.parse_args()
    model = load_model(options.model, weights=options.weights, mirror=options.mirror)
    table = measure(model, tuple(options.outputs), options.batch, options.pairs, options.engines)
    print(f"{options.model}, {', '.join(options.outputs)}, batch {options.batch}\n\n{table.to_markdown()}")


if __name__ == "__main__":
    main()
