"""Make `dinov2_vits14_onnx.safetensors`: what the published ONNX file of `dinov2_vits14` answers in onnxruntime.

    python tests/parity/golden/make_dinov2_onnx.py dinov2_vits14_patch_8x8.onnx

The file is the member of the PyPI package that the variant names as its source (sha256 there). It gives the patch
tokens of a 224x224 picture, averaged over 2x2 patches: (B, 8, 8, 384). Every eighth channel is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from formula import formula_images
from safetensors.torch import save_file

HERE = Path(__file__).parent


def main(path: str) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"input": formula_images((224, 224)).numpy()})
    save_file({"pooled": torch.from_numpy(answer)[..., ::8].contiguous()}, HERE / "dinov2_vits14_onnx.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
