"""Count parameters and multiply-adds of the models, into src/nexus/assets/models.json, which `nexus models` reads.

    python tools/count_models.py             count all of them again
    python tools/count_models.py "swin*"     only those; the others stay as they are

How it is counted is written in `nexus.models.summary`. Nothing is fetched, and no model takes memory.
"""

from __future__ import annotations

import json
import sys

from nexus import registry
from nexus.assets import COUNTS
from nexus.models.loading import build_on_meta
from nexus.models.summary import summarize
from nexus.transforms.preprocess import PreprocessSpec


def main(patterns: list[str]) -> None:
    """Bring the file up to date."""
    wanted = {name for pattern in patterns or ["*"] for name in in_tree(pattern)}
    known = json.loads(COUNTS.read_text(encoding="utf-8")) if COUNTS.is_file() else {}
    counts = {name: count(name) if name in wanted or name not in known else known[name] for name in in_tree()}
    lines = (f"  {json.dumps(name)}: {json.dumps(counts[name])}" for name in sorted(counts))
    COUNTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{COUNTS}: {len(counts)} models, {len(wanted)} counted")


def in_tree(pattern: str = "*") -> list[str]:
    """Names of the variants of our own families."""
    families = registry.families()
    names = registry.list_models(pattern)
    return [name for name in names if families[registry.variant(name).family].package.startswith("nexus.models.")]


def count(name: str) -> dict[str, int]:
    """Count one variant, at the input size of its preprocess spec."""
    variant = registry.variant(name)
    size = PreprocessSpec.parse(variant.preprocess).size
    summary = summarize(build_on_meta(variant.class_name, variant.config), size)
    return {"parameters": summary.parameters, "multiply_adds": summary.multiply_adds}


if __name__ == "__main__":
    main(sys.argv[1:])
