"""Make the golden files of CLIP.

    python tests/parity/golden/make_clip.py CLIP_CHECKOUT clip_encoder.int8.onnx

Needs timm, open_clip and a checkout of openai/CLIP; the files here were made with timm 1.0.31, open_clip 3.3.0,
openai/CLIP at d05afc4 and torch 2.13.0. The ONNX file is the one that `clip_vitb16.image_int8` names as its package
source; what it answers is stored for one batch, as onnxruntime computes it, with activations rounded to 8 bits.

`clip_outputs.safetensors`: what the other implementations answer, for small models. Weights and inputs are not stored:
they follow from keys and shapes (`formula_state`).
`clip_keys.json.gz`: library -> our variant -> key -> shape, of the models built on the meta device; under ``small``,
those of the small models.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

SIZES = {
    "clip_vitb32": ("ViT-B-32", "vit_base_patch32_clip_quickgelu_224"),
    "clip_vitb16": ("ViT-B-16", "vit_base_patch16_clip_quickgelu_224"),
    "clip_vitl14": ("ViT-L-14", "vit_large_patch14_clip_quickgelu_224"),
    "clip_vitl14_336": ("ViT-L-14-336", "vit_large_patch14_clip_quickgelu_336"),
    "clip_rn50": ("RN50", "resnet50_clip"),
    "clip_rn101": ("RN101", "resnet101_clip"),
    "clip_rn50x4": ("RN50x4", "resnet50x4_clip"),
    "clip_rn50x16": ("RN50x16", "resnet50x16_clip"),
    "clip_rn50x64": ("RN50x64", "resnet50x64_clip"),
}
"""Our name -> open_clip's and timm's."""

LARGER = {
    "clip_vitb32.laion2b": "ViT-B-32",
    "clip_vitb16.datacomp_xl": "ViT-B-16",
    "clip_vitl14.laion2b": "ViT-L-14",
    "clip_vitl14.datacomp_xl": "ViT-L-14",
    "clip_vith14.laion2b": "ViT-H-14",
    "clip_vitg14.laion2b": "ViT-g-14",
    "clip_vitbigg14.laion2b": "ViT-bigG-14",
}
"""Our name -> open_clip's, of models that were trained with it."""

TEXT: dict[str, Any] = {"context_length": 12, "vocab_size": 60, "width": 64, "heads": 1, "layers": 2}

TINY: dict[str, dict[str, Any]] = {
    "vit": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "resnet": {"image_size": 64, "layers": [1, 2, 1, 1], "width": 16, "patch_size": None},
}
"""`vision_cfg` of open_clip; its heads are 64 wide."""

GAIN = {"vit": 1.0, "resnet": 0.6}
"""See `formula_state`."""


def formula_texts() -> Tensor:
    """Three texts of other lengths, (3, 12): the highest number ends them, zeros pad."""
    ids = torch.arange(36).reshape(3, 12) % 50 + 1
    for row, length in enumerate((4, 12, 7)):
        ids[row, length - 1] = 59
        ids[row, length:] = 0
    return ids


# -- the rest runs only where the other implementations are -----------------------------------------------------------


def main(checkout: Path, onnx_file: Path) -> None:
    sys.path.insert(0, str(checkout / "clip"))  # the package itself wants torchvision and ftfy
    import timm

    keys: dict[str, Any] = {
        "openai": {name: shapes_of(lambda theirs=theirs: openai(theirs[0])) for name, theirs in SIZES.items()},
        "open_clip": {name: shapes_of(lambda theirs=theirs: open_clip(theirs[0])) for name, theirs in SIZES.items()},
        "timm": {"clip_vitb16.image_int8": shapes_of(lambda: timm.create_model(SIZES["clip_vitb16"][1]))},
        "onnx": {"clip_vitb16.image_int8": onnx_shapes(onnx_file)},
    }
    keys["open_clip"] |= {name: shapes_of(lambda theirs=theirs: open_clip(theirs)) for name, theirs in LARGER.items()}
    keys["small"] = write_outputs(timm, onnx_file)
    write_keys("clip", keys)


def write_outputs(timm: Any, onnx_file: Path) -> dict[str, dict[str, list[int]]]:
    """Write what small models answer, and return their keys and shapes."""
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    shapes: dict[str, dict[str, list[int]]] = {}
    for kind, vision in TINY.items():
        images = formula_images((vision["image_size"], vision["image_size"]))
        for library, model in (("openai", openai_tiny(vision)), ("open_clip", open_clip_tiny(vision))):
            filled(model, gain=GAIN[kind])
            shapes[f"{library}.{kind}"] = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
            with torch.no_grad():
                found[f"{library}.{kind}.image"] = model.encode_image(images)
                found[f"{library}.{kind}.text"] = model.encode_text(formula_texts())
                found[f"{library}.{kind}.logits"] = logits(model, images)
    for kind, model, sizes in timm_tiny(timm):
        filled(model, gain=GAIN[kind])
        shapes[f"timm.{kind}"] = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
        for size in sizes:
            with torch.no_grad():
                found[f"timm.{kind}.{size[0]}x{size[1]}.head"] = model(formula_images(size))
                found[f"timm.{kind}.{size[0]}x{size[1]}.features"] = model.forward_features(formula_images(size))
    found["onnx"] = onnx_answers(onnx_file)
    save_file({key: value.contiguous() for key, value in found.items()}, HERE / "clip_outputs.safetensors")
    return shapes


def logits(model: Any, images: Tensor) -> Tensor:
    """(B, K): open_clip gives only the vectors and the scale."""
    answer = model(images, formula_texts())
    if len(answer) == 2:
        return answer[0]
    image, text, scale = answer
    return scale * image @ text.T


def openai(name: str) -> nn.Module:
    """The authors' class, with the sizes that open_clip's configs state for the same files."""
    config = open_clip_config(name)
    return openai_model(config["embed_dim"], config["vision_cfg"], config["text_cfg"])


def openai_tiny(vision: dict[str, Any]) -> nn.Module:
    return openai_model(32, vision, TEXT)


def openai_model(embed_dim: int, vision: dict[str, Any], text: dict[str, Any]) -> nn.Module:
    from model import CLIP

    layers = vision["layers"]
    return CLIP(
        embed_dim,
        vision["image_size"],
        tuple(layers) if isinstance(layers, list) else layers,
        vision["width"],
        vision["patch_size"],
        text["context_length"],
        text["vocab_size"],
        text["width"],
        text["heads"],
        text["layers"],
    )


def open_clip_config(name: str) -> dict[str, Any]:
    import open_clip as library

    return library.get_model_config(name)


def open_clip(name: str) -> nn.Module:
    from open_clip.model import CLIP

    return CLIP(**open_clip_config(name))


def open_clip_tiny(vision: dict[str, Any]) -> nn.Module:
    """With the exact GELU, as the models of LAION have it."""
    from open_clip.model import CLIP

    return CLIP(embed_dim=32, vision_cfg=vision, text_cfg=TEXT, quick_gelu=False)


def timm_tiny(timm: Any) -> list[tuple[str, nn.Module, tuple[tuple[int, int], ...]]]:
    """Kind, model, and sizes (height, width) that it takes."""
    vit = timm.create_model(
        "vit_base_patch32_clip_quickgelu_224",
        img_size=32,
        patch_size=8,
        embed_dim=64,
        depth=2,
        num_heads=1,
        num_classes=32,
    )
    resnet = tiny_byob()
    return [("vit", vit, ((32, 32),)), ("resnet", resnet, ((64, 64), (128, 96), (32, 64)))]


def tiny_byob() -> nn.Module:
    """timm's `resnet50_clip`, small."""
    from dataclasses import replace

    from timm.models.byobnet import ByoBlockCfg, ByobNet, model_cfgs

    full = model_cfgs["resnet50_clip"]
    widths, depths = (64, 128, 256, 512), TINY["resnet"]["layers"]
    blocks = tuple(
        ByoBlockCfg(type="bottle", d=depth, c=width, s=2 if index else 1, br=0.25)
        for index, (depth, width) in enumerate(zip(depths, widths, strict=True))
    )
    small = replace(full, blocks=blocks, stem_chs=tuple(n // 4 for n in full.stem_chs))
    return ByobNet(small, num_classes=32, img_size=64)


def onnx_answers(path: Path) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["image_embeds"], {"pixel_values": formula_images((224, 224)).numpy()})[0])


def onnx_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes as `nexus.hub.read_tensors` gives them, which names what ONNX leaves without a name."""
    from nexus.hub import read_tensors

    return {key: list(tensor.shape) for key, tensor in read_tensors(path).items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
