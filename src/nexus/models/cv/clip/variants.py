"""Named weights of CLIP: data only.

Sizes: table 20 of the paper as openai/CLIP builds them (`clip/model.py`, `build_model`: heads are width / 64), and the
configs of open_clip 3.3.0 (`model_configs`). Files, their sha256 and the preprocessing: openai/CLIP at d05afc4,
`clip/clip.py`. Licence: its LICENSE, MIT; it states no other one for the weights.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("CLIP", "CLIPVision")

HUGGINGFACE = {"clip": "CLIP", "clip_vision_model": "CLIPVision"}

CITATION: dict[str, Any] = {
    "title": "Learning Transferable Visual Models From Natural Language Supervision",
    "authors": (
        "Alec Radford",
        "Jong Wook Kim",
        "Chris Hallacy",
        "Aditya Ramesh",
        "Gabriel Goh",
        "Sandhini Agarwal",
        "Girish Sastry",
        "Amanda Askell",
        "Pamela Mishkin",
        "Jack Clark",
        "Gretchen Krueger",
        "Ilya Sutskever",
    ),
    "year": 2021,
    "arxiv": "2103.00020",
}

TOKENIZER: dict[str, Any] = {"kind": "asset", "file": "clip_bpe.txt.gz", "pad_token": "<|endoftext|>"}

BASE: dict[str, Any] = {"embed_dim": 768, "num_layers": 12, "num_heads": 12, "projection_dim": 512}
LARGE: dict[str, Any] = {"embed_dim": 1024, "num_layers": 24, "num_heads": 16, "projection_dim": 768}

TEXT_512: dict[str, Any] = {"embed_dim": 512, "num_heads": 8, "projection_dim": 512}
TEXT_768: dict[str, Any] = {"embed_dim": 768, "num_heads": 12, "projection_dim": 768}

SIZES: dict[str, dict[str, Any]] = {
    "clip_vitb32": {
        "image": {**BASE, "image_size": 224, "patch_size": 32},
        "text": TEXT_512,
        "file": "ViT-B-32.pt",
        "sha256": "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    },
    "clip_vitb16": {
        "image": {**BASE, "image_size": 224, "patch_size": 16},
        "text": TEXT_512,
        "file": "ViT-B-16.pt",
        "sha256": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    },
    "clip_vitl14": {
        "image": {**LARGE, "image_size": 224, "patch_size": 14},
        "text": TEXT_768,
        "file": "ViT-L-14.pt",
        "sha256": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    },
    "clip_vitl14_336": {
        "image": {**LARGE, "image_size": 336, "patch_size": 14},
        "text": TEXT_768,
        "file": "ViT-L-14-336px.pt",
        "sha256": "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    },
}

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "CLIP",
        "config": {"image": size["image"], "text": size["text"]},
        "weights": (
            {
                "kind": "url",
                "url": f"https://openaipublic.azureedge.net/clip/models/{size['sha256']}/{size['file']}",
                "sha256": size["sha256"],
                "license": "MIT",
            },
        ),
        "preprocess": {
            "resize": size["image"]["image_size"],
            "crop": (size["image"]["image_size"], size["image"]["image_size"]),
            "interpolation": "bicubic",
            "mean": (0.48145466, 0.4578275, 0.40821073),
            "std": (0.26862954, 0.26130258, 0.27577711),
        },
        "tokenizer": TOKENIZER,
        "tasks": ("zero-shot",),
        "license": "MIT",
    }
    for name, size in SIZES.items()
}

TINY_IMAGE: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
    "projection_dim": 24,
}

TINY_TEXT: dict[str, Any] = {
    "context_length": 9,
    "vocab_size": 50,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
    "projection_dim": 24,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "CLIPVision", "config": {**TINY_IMAGE, "num_classes": 5}, "sizes": ((32, 32), (40, 24))},
    {
        "class_name": "CLIP",
        "config": {"image": TINY_IMAGE, "text": TINY_TEXT},
        "sizes": ((32, 32), (40, 24)),
        "texts": {"length": 9, "vocabulary": 50},
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
