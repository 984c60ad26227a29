"""Named NiNs: none, as the authors' weights are in no layout that is in use today.

Citation: the paper's arXiv page.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("NiN",)

HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "Network In Network",
    "authors": ("Min Lin", "Qiang Chen", "Shuicheng Yan"),
    "year": 2013,
    "arxiv": "1312.4400",
}

VARIANTS: dict[str, dict[str, Any]] = {}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "NiN",
        "config": {"widths": ((12, 10, 8), (12, 12, 12), (16, 16)), "num_classes": 5},
        "sizes": ((32, 32), (24, 40)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
