"""Make the golden files of InternVL.

    python tests/parity/golden/make_internvl.py INTERNVL_CHECKOUT

Needs transformers, timm, einops and a checkout of OpenGVLab/InternVL; the files here were made with transformers 5.23,
timm 1.0.31, InternVL at 2410d1d and torch 2.13.0.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import nn

HERE = Path(__file__).parent

TEXT: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "rms_norm_eps": 1e-6,
}
TOWER: dict[str, Any] = {
    "image_size": 56,
    "patch_size": 14,
    "hidden_size": 48,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}
TEXTS = ((5, 9, 3, 0, 0), (7, 2, 2, 11, 4), (8, 0, 0, 0, 0))
"""Tokens, padded with 0."""

FULL_300M: dict[str, Any] = {
    "image_size": 448,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "qkv_bias": True,
    "qk_normalization": False,
    "norm_type": "layer_norm",
}
FULL_6B: dict[str, Any] = {"image_size": 448, "num_hidden_layers": 45}


def main(checkout: Path) -> None:
    from safetensors.torch import save_file

    warnings.simplefilter("ignore")
    sys.modules["peft"] = ModuleType("peft")  # imported, but used for LoRA only
    sys.modules["peft"].LoraConfig = sys.modules["peft"].get_peft_model = None
    on_cpu = partial(torch.linspace, device="cpu")  # its items are read while the model is built
    with mock.patch.object(torch, "linspace", on_cpu):
        described = {"authors": keys(checkout)}
    small = {"c": contrastive(checkout), "g": fusing(checkout)}
    described["small"] = {name: shapes_of(lambda model=model: model) for name, model in small.items()}
    write_keys("intern_vl", described)
    images, texts, found = formula_images((56, 56)), torch.tensor(TEXTS), {}
    with torch.no_grad():
        for name, model in small.items():
            mode = ["InternVL-C"] if name == "g" else []
            found[f"{name}.image"] = model.encode_image(images, *mode)
            found[f"{name}.text"] = model.encode_text(texts)
            found[f"{name}.logits"] = model(images, texts, *mode)[0]
        found["g.fused"] = small["g"].encode_image(images, "InternVL-G")
    save_file(found, HERE / "intern_vl_outputs.safetensors")


def keys(checkout: Path) -> dict[str, dict[str, list[int]]]:
    """The full-size models; the fixed tables of rotary positions are no weights."""
    chat = package(checkout / "internvl_chat/internvl/model/internvl_chat", "chat")
    config, vit = (importlib.import_module(f"{chat}.{name}") for name in CHAT)
    towers = {
        "intern_vit_300m_448": FULL_300M,
        "intern_vit_300m_448.v2_5": FULL_300M,
        "intern_vit_6b_224": {},
        "intern_vit_6b_448.v1_0": {"image_size": 448},
        "intern_vit_6b_448.v1_5": FULL_6B,
        "intern_vit_6b_448.v2_5": FULL_6B,
    }
    found = {
        name: shapes_of(lambda values=values: vit.InternVisionModel(config.InternVisionConfig(**values)))
        for name, values in towers.items()
    }
    found["internvl_14b_224"] = shapes_of(lambda: pair(checkout, LLAMA, {}))
    return found


CHAT = ("configuration_intern_vit", "modeling_intern_vit")
LLAMA = {"vocab_size": 49954, "rms_norm_eps": 1e-6}


def contrastive(checkout: Path) -> nn.Module:
    """A small `InternVL_C`."""
    authors = package(checkout / "clip_benchmark/clip_benchmark/models/internvl_c_pytorch", "c_pytorch")
    with tempfile.TemporaryDirectory() as folder:
        described = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **TEXT}
        (Path(folder) / "config.json").write_text(json.dumps(described))
        model = importlib.import_module(f"{authors}.internvl_c").InternVL_C(
            patch_size=14,
            img_size=56,
            embed_dim=48,
            num_heads=3,
            depth=2,
            with_cp=False,
            use_flash_attn=False,
            transformer_width=32,
            llm_path=folder,
            attn_pool_num_heads=4,
            clip_embed_dim=16,
        )
    return filled(model)


def fusing(checkout: Path) -> nn.Module:
    """A small model that answers as InternVL-C and as InternVL-G."""
    return filled(pair(checkout, TEXT, TOWER, clip_embed_dim=16, attn_pool_num_heads=4))


def pair(checkout: Path, text: dict[str, Any], tower: dict[str, Any], **changes: Any) -> nn.Module:
    authors = package(checkout / "clip_benchmark/clip_benchmark/models/internvl_huggingface", "huggingface")
    modeling = importlib.import_module(f"{authors}.modeling_internvl")
    config = modeling.InternVLConfig(vision_config={**tower, "use_flash_attn": False}, qllama_config=text, **changes)
    model = modeling.InternVLModel(config)
    width = config.vision_config.hidden_size
    for layer in model.qllama.model.layers:
        if layer.cross_attn is not None and width != 3200:  # their code knows only the published width
            layer.cross_attn.k_proj = nn.Linear(width, config.qllama_config.hidden_size, bias=False)
            layer.cross_attn.v_proj = nn.Linear(width, config.qllama_config.hidden_size, bias=False)
            layer.cross_attn.norm2 = type(layer.cross_attn.norm1)(width)
    return model


def package(folder: Path, name: str) -> str:
    """Make a folder importable without running its ``__init__``, and return its name."""
    module = ModuleType(f"authors_{name}")
    module.__path__ = [str(folder)]
    sys.modules[module.__name__] = module
    return module.__name__


if __name__ == "__main__":
    main(Path(sys.argv[1]))
