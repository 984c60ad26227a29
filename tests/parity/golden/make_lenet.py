"""Make the golden files of LeNet.

    python tests/parity/golden/make_lenet.py lenet.onnx

Needs onnx and onnxruntime; the argument is the file in PyPI jstprove-test 0.1.0.

`lenet_keys.json.gz`: the keys and shapes of that file.
`lenet_outputs.safetensors`: what it answers, run by onnxruntime.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from formula import formula_images, write_keys

HERE = Path(__file__).parent


def main(file: Path) -> None:
    import onnx
    import onnxruntime
    from safetensors.torch import save_file

    shapes = {one.name: list(one.dims) for one in onnx.load(file).graph.initializer}
    write_keys("lenet", {"onnx": {"lenet5.cifar10": shapes}})
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    answers = [session.run(None, {"input.1": image[None].numpy()})[0] for image in formula_images((32, 32))]
    save_file({"logits": torch.cat([torch.from_numpy(one) for one in answers])}, HERE / "lenet_outputs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
