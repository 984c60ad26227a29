"""Write down the parameters and operations that torchvision states of its models.

    python tests/parity/golden/make_counts.py

Needs torchvision; the file here was made with torchvision 0.28.0. ``torchvision_counts.json``: model -> side of its
input, parameters, and 10⁹ multiply-adds to three decimals, from the metadata of its weights.
"""

from __future__ import annotations

import json
from pathlib import Path

from torchvision import models

OUT = Path(__file__).parent / "torchvision_counts.json"


def main() -> None:
    """Write the file."""
    stated = {}
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name).DEFAULT
        (side,) = weights.transforms().crop_size
        stated[name] = {"size": side, "parameters": weights.meta["num_params"], "gflops": weights.meta["_ops"]}
    lines = (f"  {json.dumps(name)}: {json.dumps(stated[name])}" for name in sorted(stated))
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
