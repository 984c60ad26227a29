"""Named weights of SigLIP and SigLIP 2 (fixed resolution): data only.

Sizes, file names and lengths of texts: the authors' notebooks `SigLIP_demo.ipynb` and `SigLIP2_demo.ipynb`,
`decode_variant` in `models/vit.py` and the names in `models/proj/image_text/two_towers.py` (big_vision at commit
0127fb6). Hugging Face repositories: of SigLIP those of transformers' `convert_siglip_to_hf.py` and of mteb's list of
models, which also states their licence; of SigLIP 2 those of FiftyOne's model zoo. Preprocessing: the
`preprocessor_config.json` of these repositories: the picture is squashed to a square, bicubically for SigLIP and
bilinearly for SigLIP 2. Scores, zero-shot: OpenCLIP's `docs/openclip_results.csv` at 89fb801 for SigLIP, the authors'
`README_siglip2.md` for SigLIP 2. No hash was computed here. Citations: the BibTeX of the notebooks.

NaFlex: the repositories are those of `README_siglip2.md`, the authors' files and the grid of 16 x 16 position
embeddings those of `SigLIP2_demo.ipynb`; text tower, tokenizer, mean and std as in transformers'
`convert_siglip2_to_hf.py`; licence: the model card of google/siglip2-base-patch16-naflex-jax, and of So400m a third
party's listing of the repository (gigarouter). The scores are for 256 patches in each picture's own aspect, as their
source says; the preprocess spec squashes to the square of as many.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("SigLIP", "SigLIPVision")

HUGGINGFACE = {
    "siglip": "SigLIP",
    "siglip2": "SigLIP",
    "siglip2_vision_model": "SigLIPVision",
    "siglip_vision_model": "SigLIPVision",
}
"""SigLIP 2 of fixed resolution calls itself ``siglip`` too; ``siglip2`` is NaFlex."""

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "Sigmoid Loss for Language Image Pre-Training",
        "authors": ("Xiaohua Zhai", "Basil Mustafa", "Alexander Kolesnikov", "Lucas Beyer"),
        "year": 2023,
        "arxiv": "2303.15343",
        "venue": "International Conference on Computer Vision (ICCV)",
    },
    {
        "title": (
            "SigLIP 2: Multilingual Vision-Language Encoders with Improved Semantic Understanding, Localization, and "
            "Dense Features"
        ),
        "authors": (
            "Michael Tschannen",
            "Alexey Gritsenko",
            "Xiao Wang",
            "Muhammad Ferjad Naeem",
            "Ibrahim Alabdulmohsin",
            "Nikhil Parthasarathy",
            "Talfan Evans",
            "Lucas Beyer",
            "Ye Xia",
            "Basil Mustafa",
            "Olivier Hénaff",
            "Jeremiah Harmsen",
            "Andreas Steiner",
            "Xiaohua Zhai",
        ),
        "year": 2025,
        "arxiv": "2502.14786",
    },
)

TOWERS: dict[str, dict[str, Any]] = {
    "b": {"embed_dim": 768, "num_layers": 12, "num_heads": 12, "mlp_dim": 3072},
    "l": {"embed_dim": 1024, "num_layers": 24, "num_heads": 16, "mlp_dim": 4096},
    "so400m": {"embed_dim": 1152, "num_layers": 27, "num_heads": 16, "mlp_dim": 4304},
    "g-opt": {"embed_dim": 1536, "num_layers": 40, "num_heads": 16, "mlp_dim": 6144},
}

ENGLISH: dict[str, Any] = {"vocab_size": 32_000}
MULTILINGUAL: dict[str, Any] = {"vocab_size": 250_000}
GEMMA: dict[str, Any] = {"vocab_size": 256_000}

OPEN_CLIP = "mlfoundations/open_clip, docs/openclip_results.csv"
README_2 = "google-research/big_vision, README_siglip2.md"
README_NAFLEX = f"{README_2} (256 patches in each picture's own aspect)"

FIRST: dict[str, tuple[str, int, int, dict[str, Any], str, str, float | None]] = {
    "siglip_vitb16_224": ("b", 16, 224, ENGLISH, "base-patch16-224", "webli_en_b16_224_63724782", 76.04),
    "siglip_vitb16_256": ("b", 16, 256, ENGLISH, "base-patch16-256", "webli_en_b16_256_60500360", 76.53),
    "siglip_vitb16_256.i18n": (
        "b",
        16,
        256,
        MULTILINGUAL,
        "base-patch16-256-multilingual",
        "webli_i18n_b16_256_66117334",
        75.13,
    ),
    "siglip_vitb16_384": ("b", 16, 384, ENGLISH, "base-patch16-384", "webli_en_b16_384_68578854", 78.49),
    "siglip_vitb16_512": ("b", 16, 512, ENGLISH, "base-patch16-512", "webli_en_b16_512_68580893", 79.14),
    "siglip_vitl16_256": ("l", 16, 256, ENGLISH, "large-patch16-256", "webli_en_l16_256_60552751", 80.45),
    "siglip_vitl16_384": ("l", 16, 384, ENGLISH, "large-patch16-384", "webli_en_l16_384_63634585", 82.07),
    "siglip_so400m14_224": (
        "so400m",
        14,
        224,
        {**ENGLISH, "context_length": 16},
        "so400m-patch14-224",
        "webli_en_so400m_224_57633886",
        82.03,
    ),
    "siglip_so400m14_384": ("so400m", 14, 384, ENGLISH, "so400m-patch14-384", "webli_en_so400m_384_58765454", 83.08),
    "siglip_so400m16_256.i18n": (
        "so400m",
        16,
        256,
        MULTILINGUAL,
        "so400m-patch16-256-i18n",
        "webli_i18n_so400m_16_256_78061115",
        None,
    ),
}
"""Name -> tower, patch, image size, text, repository, the authors' file, zero-shot accuracy on ImageNet-1k."""

SECOND: dict[str, tuple[str, int, int, str, str, float]] = {
    "siglip2_vitb32_256": ("b", 32, 256, "base-patch32-256", "siglip2_b32_256", 74.0),
    "siglip2_vitb16_224": ("b", 16, 224, "base-patch16-224", "siglip2_b16_224", 78.2),
    "siglip2_vitb16_256": ("b", 16, 256, "base-patch16-256", "siglip2_b16_256", 79.1),
    "siglip2_vitb16_384": ("b", 16, 384, "base-patch16-384", "siglip2_b16_384", 80.6),
    "siglip2_vitb16_512": ("b", 16, 512, "base-patch16-512", "siglip2_b16_512", 81.2),
    "siglip2_vitl16_256": ("l", 16, 256, "large-patch16-256", "siglip2_l16_256", 82.5),
    "siglip2_vitl16_384": ("l", 16, 384, "large-patch16-384", "siglip2_l16_384", 83.1),
    "siglip2_vitl16_512": ("l", 16, 512, "large-patch16-512", "siglip2_l16_512", 83.5),
    "siglip2_so400m14_224": ("so400m", 14, 224, "so400m-patch14-224", "siglip2_so400m14_224", 83.2),
    "siglip2_so400m14_384": ("so400m", 14, 384, "so400m-patch14-384", "siglip2_so400m14_384", 84.1),
    "siglip2_so400m16_256": ("so400m", 16, 256, "so400m-patch16-256", "siglip2_so400m16_256", 83.4),
    "siglip2_so400m16_384": ("so400m", 16, 384, "so400m-patch16-384", "siglip2_so400m16_384", 84.1),
    "siglip2_so400m16_512": ("so400m", 16, 512, "so400m-patch16-512", "siglip2_so400m16_512", 84.3),
    "siglip2_vitb16_naflex": ("b", 16, 256, "base-patch16-naflex", "siglip2_b16_naflex", 78.5),
    "siglip2_so400m16_naflex": ("so400m", 16, 256, "so400m-patch16-naflex", "siglip2_so400m16_naflex", 83.5),
    "siglip2_giantopt16_256": ("g-opt", 16, 256, "giant-opt-patch16-256", "siglip2_g-opt16_256", 84.5),
    "siglip2_giantopt16_384": ("g-opt", 16, 384, "giant-opt-patch16-384", "siglip2_g-opt16_384", 85.0),
}
"""Name -> tower, patch, image size, repository, the authors' file, zero-shot accuracy on ImageNet-1k."""

VARIANTS: dict[str, dict[str, Any]] = {
    **{
        name: {
            "class_name": "SigLIP",
            "config": {
                "image": {**TOWERS[tower], "patch_size": patch, "image_size": size},
                "text": {**TOWERS[tower], **text, "projection_dim": TOWERS[tower]["embed_dim"]},
            },
            "weights": (
                {"kind": "huggingface", "repository": f"google/siglip-{repository}", "license": "Apache-2.0"},
                {
                    "kind": "url",
                    "url": f"https://storage.googleapis.com/big_vision/siglip/{file}.npz",
                    "license": "Apache-2.0",
                },
            ),
            "preprocess": {
                "resize": (size, size),
                "crop": None,
                "interpolation": "bicubic",
                "mean": (0.5, 0.5, 0.5),
                "std": (0.5, 0.5, 0.5),
            },
            "tokenizer": {
                "kind": "huggingface",
                "repository": f"google/siglip-{repository}",
                "file": "spiece.model",
                "pad_token": "</s>",
            },
            "tasks": ("zero-shot",),
            "license": "Apache-2.0",
            "score": None if score is None else {"imagenet_1k_zero_shot_top1": score, "source": OPEN_CLIP},
        }
        for name, (tower, patch, size, text, repository, file, score) in FIRST.items()
    },
    **{
        name: {
            "class_name": "SigLIP",
            "config": {
                "image": {
                    **TOWERS[tower],
                    "patch_size": patch,
                    "image_size": size,
                    "naflex": name.endswith("_naflex"),
                },
                "text": {
                    **TOWERS["so400m" if tower == "g-opt" else tower],
                    **GEMMA,
                    "projection_dim": TOWERS[tower]["embed_dim"],
                },
            },
            "weights": (
                {"kind": "huggingface", "repository": f"google/siglip2-{repository}", "license": "Apache-2.0"},
                {
                    "kind": "url",
                    "url": f"https://storage.googleapis.com/big_vision/siglip2/{file}.npz",
                    "license": "Apache-2.0",
                },
            ),
            "preprocess": {
                "resize": (size, size),
                "crop": None,
                "interpolation": "bilinear",
                "mean": (0.5, 0.5, 0.5),
                "std": (0.5, 0.5, 0.5),
            },
            "tokenizer": {
                "kind": "huggingface",
                "repository": f"google/siglip2-{repository}",
                "file": "tokenizer.json",
                "pad_token": "<pad>",
            },
            "tasks": ("zero-shot",),
            "license": "Apache-2.0",
            "score": {
                "imagenet_1k_zero_shot_top1": score,
                "source": README_NAFLEX if name.endswith("_naflex") else README_2,
            },
        }
        for name, (tower, patch, size, repository, file, score) in SECOND.items()
    },
}

TINY_IMAGE: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
    "mlp_dim": 72,
}

TINY_TEXT: dict[str, Any] = {
    "context_length": 9,
    "vocab_size": 50,
    "embed_dim": 24,
    "num_layers": 3,
    "num_heads": 2,
    "mlp_dim": 56,
    "projection_dim": 32,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "SigLIPVision", "config": {**TINY_IMAGE, "num_classes": 5}, "sizes": ((32, 32), (40, 24))},
    {
        "class_name": "SigLIPVision",
        "config": {**TINY_IMAGE, "num_classes": 5, "pool": "mean"},
        "sizes": ((32, 32), (40, 24)),
    },
    {
        "class_name": "SigLIP",
        "config": {"image": TINY_IMAGE, "text": TINY_TEXT},
        "sizes": ((32, 32), (40, 24)),
        "texts": {"length": 9, "vocabulary": 50},
    },
    {
        "class_name": "SigLIPVision",
        "config": {**TINY_IMAGE, "num_classes": 5, "naflex": True},
        "sizes": ((32, 32), (40, 24)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
