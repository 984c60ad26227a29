"""The shapes in the signatures of models and layers are true: every family runs with them checked.

In a process of its own, so that the checks stay out of what is compiled and exported elsewhere. jaxtyping is no
dependency of nexus: its names are lent to the modules for the time of the test.
"""

from __future__ import annotations

import subprocess
import sys

CHECKED = """
import builtins, sys
import jaxtyping
builtins.Float, builtins.Bool, builtins.Int = jaxtyping.Float, jaxtyping.Bool, jaxtyping.Int
with jaxtyping.install_import_hook(["nexus.layers", "nexus.models.cv", "nexus.models.image_text"], "beartype.beartype"):
    import torch
    from nexus import registry
    for family in registry.families().values():
        for name in family.classes:
            registry.model_class(name)
from nexus.layers import Attention, as_map
"""

RUN = """
import importlib
from nexus.types import OUTPUT_KEYS
for family in registry.families().values():
    for tiny in importlib.import_module(f"{family.package}.variants").TINY:
        model = registry.model_class(tiny["class_name"])(tiny["config"])
        texts = tiny.get("texts")
        words = {"input_ids": torch.randint(texts["vocabulary"], (3, texts["length"]))} if texts else {}
        for height, width in tiny["sizes"]:
            images = torch.randn(2, 3, height, width)
            assert model.eval()(images, **words)["features"]
            # in training without `aux`: an auxiliary classifier may need larger images than all the rest
            assert model.train()(images, **words, outputs=tuple({*OUTPUT_KEYS} - {"aux", "attentions"}))["features"]
        print("ran", tiny["class_name"])
"""

WRONG = """
for call in (lambda: Attention(8, 2)(torch.zeros(3, 8)), lambda: as_map(torch.zeros(2, 8), (2, 2))):
    try:
        call()
    except jaxtyping.TypeCheckError as error:
        print("refused", type(error).__name__)
"""


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def test_every_family_keeps_its_shapes() -> None:
    from nexus import registry

    ran = run(CHECKED + RUN)
    assert {line.split()[1] for line in ran} == {c for family in registry.families().values() for c in family.classes}


def test_a_wrong_shape_is_refused() -> None:
    assert run(CHECKED + WRONG) == ["refused TypeCheckError"] * 2
