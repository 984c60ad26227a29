"""Make the golden files of SigLIP.

    python tests/parity/golden/make_siglip.py BIG_VISION_CHECKOUT

Needs jax, flax, timm, open_clip, sentencepiece, transformers and a checkout of google-research/big_vision; the files
here were made with flax 0.12.8, jax 0.10.2, timm 1.0.31, open_clip 3.3.0, sentencepiece 0.2.3, transformers 5.23.0,
big_vision at 0127fb6 and torch 2.13.0.

`siglip_outputs.safetensors`: what the other implementations answer, for small models. Weights and inputs are not
stored: they follow from keys and shapes (`formula_state`).
`siglip_keys.json.gz`: library -> our variant -> key -> shape, of the models built without memory.
`siglip_spiece.model.gz`: a small SentencePiece vocabulary, trained on `SENTENCES`, with the special tokens of SigLIP's.
`siglip_tokens.json`: what transformers' `SiglipTokenizer` makes of `TEXTS` with it.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
import types
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from formula import filled, formula_images, formula_state, shapes_of, write_keys
from torch import Tensor

HERE = Path(__file__).parent

TINY_IMAGE: dict[str, Any] = {"width": 48, "depth": 2, "num_heads": 3, "mlp_dim": 96, "patch_size": (8, 8)}
TINY_TEXT: dict[str, Any] = {"width": 24, "depth": 2, "num_heads": 2, "mlp_dim": 56, "vocab_size": 40}
TINY_LENGTH = 9
TINY_SIZES = {"even": 32, "remainder": 37}

NAFLEX_GRID = 4
"""Rows and columns of the small NaFlex's position embeddings."""

NAFLEX_SIZES = ((24, 40), (48, 16), (32, 32), (40, 8))
"""Of the images in its one batch, two of each: sequences of 15, 12, 16 and 5 patches."""

TIMM_TINY: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 3, "img_size": 64, "patch_size": 16}

OPEN_CLIP_TINY: dict[str, Any] = {
    "context_length": TINY_LENGTH,
    "vocab_size": 40,
    "width": 24,
    "heads": 2,
    "layers": 2,
    "mlp_ratio": 56 / 24,
    "output_dim": 48,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}

SENTENCES = (
    "a photo of a cat on a mat",
    "a photo of a dog in the park",
    "a red bus on the street in the rain",
    "two people walk along the beach at sunset",
    "the quick brown fox jumps over the lazy dog",
    "a black and white photo of an old house",
    "une photo d'un chat sur une table",
    "ein Foto von einem Hund im Schnee in Zürich",
    "a bowl of fruit with apples oranges and grapes",
    "three cups of coffee on a wooden table",
    "a close up of a flower in a garden",
    "an aeroplane in the blue sky above the mountains",
)

TEXTS = (
    "a photo of a cat",
    "A Photo, of a DOG!",
    "  two   people\twalk\nalong ",
    "Zürich in the snow",
    "ﬁve ① half-width ｶﾀｶﾅ and ＦＵＬＬ width",
    "a cat's (small) 'mat' 100%",
    "",
    "?!",
    "unknown letters: 漢字 and 🐈",
    "the quick brown fox jumps over the lazy dog and the red bus on the street in the rain",
    "x\u00a0y\u200bz",
)


def tokens(length: int = TINY_LENGTH, vocabulary: int = 40) -> Tensor:
    """Three texts of tokens, (3, length)."""
    return torch.from_numpy(np.random.RandomState(7).randint(0, vocabulary, (3, length)))


# -- the rest runs only where the other implementations are -----------------------------------------------------------

V1 = {
    "siglip_vitb16_224": "B/16",
    "siglip_vitb16_256": "B/16",
    "siglip_vitb16_384": "B/16",
    "siglip_vitb16_512": "B/16",
}
V1 |= {"siglip_vitl16_256": "L/16", "siglip_vitl16_384": "L/16"}
V1 |= {"siglip_so400m14_224": "So400m/14", "siglip_so400m14_384": "So400m/14"}
V1 |= {"siglip_vitb16_256.i18n": "B/16", "siglip_so400m16_256.i18n": "So400m/16"}
V2 = {f"siglip2_vitb16_{size}": "B/16" for size in (224, 256, 384, 512)} | {"siglip2_vitb32_256": "B/32"}
V2 |= {f"siglip2_vitl16_{size}": "L/16" for size in (256, 384, 512)}
V2 |= {f"siglip2_so400m14_{size}": "So400m/14" for size in (224, 384)}
V2 |= {f"siglip2_so400m16_{size}": "So400m/16" for size in (256, 384, 512)}
V2 |= {f"siglip2_giantopt16_{size}": "g-opt/16" for size in (256, 384)}

NAFLEX = {"siglip2_vitb16_naflex": "B", "siglip2_so400m16_naflex": "So400m"}

DIMS = {"B": 768, "L": 1024, "So400m": 1152, "g-opt": 1536}

OPEN_CLIP_SIZES = {"B/16": "B-16", "B/32": "B-32", "L/16": "L-16", "So400m/14": "SO400M-14", "So400m/16": "SO400M-16"}
OPEN_CLIP_SIZES |= {"g-opt/16": "gopt-16"}

SCANNED = ("siglip_vitb16_512", "siglip_so400m14_224", "siglip_so400m16_256.i18n")
"""Files of the first SigLIP whose blocks are stored as one (transformers' `convert_siglip_to_hf.py`)."""


def main(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    stub_the_rest_of_big_vision()
    write_keys(
        "siglip",
        {
            "big_vision": {name: big_vision_shapes(name, size) for name, size in (V1 | V2).items()}
            | {name: naflex_shapes(width) for name, width in NAFLEX.items()},
            "open_clip": {name: open_clip_shapes(name, size) for name, size in (V1 | V2).items()},
        },
    )
    write_outputs()
    write_tokenizer()


def stub_the_rest_of_big_vision() -> None:
    """The models import its utilities, which want TensorFlow and which they do not use here."""
    sys.modules["big_vision.utils"] = types.ModuleType("big_vision.utils")
    import big_vision

    big_vision.utils = sys.modules["big_vision.utils"]
    helpers = types.ModuleType("big_vision.models.proj.image_text.utils")  # wants an older jax, to use many devices
    helpers.batch_shmap = lambda function, *arguments: function(*arguments)  # type: ignore[attr-defined]
    sys.modules[helpers.__name__] = helpers


def big_vision_model(image: dict[str, Any], text: dict[str, Any], out_dim: int | None, image_model: str = "vit") -> Any:
    from big_vision.models.proj.image_text import two_towers

    image = {"pool_type": "map", **image}
    start = {"temperature_init": 10.0, "bias_init": -10.0}
    return two_towers.Model(image_model=image_model, image=image, text=text, out_dim=(None, out_dim), **start)


def flat_shapes(model: Any, image: Any, length: int) -> dict[str, list[int]]:
    import jax
    from flax.traverse_util import flatten_dict

    text = np.zeros((1, length), np.int32)
    variables = jax.eval_shape(model.init, jax.random.PRNGKey(0), image, text)["params"]
    return {f"params/{name}": list(leaf.shape) for name, leaf in flatten_dict(variables, sep="/").items()}


def big_vision_shapes(name: str, size: str) -> dict[str, list[int]]:
    """As the authors' two notebooks (`SigLIP_demo.ipynb`, `SigLIP2_demo.ipynb`) build their models."""
    width, second = size.split("/")[0], name.startswith("siglip2")
    scan = second or name in SCANNED
    vocabulary = 256_000 if second else 250_000 if name.endswith(".i18n") else 32_000
    text = {"variant": "So400m" if width == "g-opt" else width, "vocab_size": vocabulary, "scan": scan}
    headless = name == "siglip_so400m16_256.i18n"
    model = big_vision_model({"variant": size, "scan": scan}, text, None if headless else DIMS[width])
    return flat_shapes(model, blank(side(name)), 16 if name == "siglip_so400m14_224" else 64)


def blank(size: int) -> Any:
    return np.zeros((1, size, size, 3), np.float32)


def naflex_model(image: dict[str, Any], text: dict[str, Any], out_dim: int) -> Any:
    return big_vision_model({"posemb": "learn_2d", **image}, text, out_dim, "proj.image_text.naflex_vit")


def naflex_shapes(width: str) -> dict[str, list[int]]:
    """As `SigLIP2_demo.ipynb` builds them."""
    text = {"variant": width, "vocab_size": 256_000, "scan": True}
    model = naflex_model({"variant": width, "nposemb": 16}, text, DIMS[width])
    return flat_shapes(model, naflex_batch([torch.zeros(1, 3, 256, 256)], 16), 64)


def side(name: str) -> int:
    return int(name.partition(".")[0].rpartition("_")[2])


def open_clip_shapes(name: str, size: str) -> dict[str, list[int]]:
    import open_clip

    second = name.startswith("siglip2")
    suffix = "" if side(name) == 224 else f"-{side(name)}"
    if second and name.startswith("siglip2_so400m14_384"):
        suffix = "-378"  # OpenCLIP leaves the remainder of 6 pixels away; the shapes are the same
    kind = "SigLIP2" if second else "SigLIP-i18n" if name.endswith(".i18n") else "SigLIP"
    config = open_clip.get_model_config(f"ViT-{OPEN_CLIP_SIZES[size]}-{kind}{suffix}")
    config.pop("custom_text")
    return shapes_of(lambda: open_clip.model.CustomTextCLIP(**config))


def write_outputs() -> None:
    import open_clip
    import timm
    from safetensors.torch import save_file

    found = {f"big_vision.{kind}.{key}": t for kind in TINY_SIZES for key, t in big_vision_answers(kind).items()}
    found |= {f"big_vision.naflex.{key}": t for key, t in naflex_answers().items()}
    trunk = filled(timm.create_model("vit_base_patch32_siglip_256", **TIMM_TINY))
    layers = open_clip.transformer  # configs of SigLIP 2 state this activation and this epsilon
    kinds = {"act_layer": partial(torch.nn.GELU, "tanh"), "norm_layer": partial(layers.LayerNorm, eps=1e-6)}
    text = filled(layers.TextTransformer(**OPEN_CLIP_TINY, **kinds))
    with torch.no_grad():
        found["timm.tokens"] = trunk.forward_features(formula_images((64, 64)))
        found["timm.embeddings"] = trunk(formula_images((64, 64)))
        found["open_clip.text_embeddings"] = text(tokens())
    save_file({key: tensor.clone() for key, tensor in found.items()}, HERE / "siglip_outputs.safetensors")


def big_vision_answers(kind: str) -> dict[str, Tensor]:
    """The authors' code on weights of the formula; the second kind keeps its blocks as one."""
    scan, size = kind == "remainder", TINY_SIZES[kind]
    model = big_vision_model({**TINY_IMAGE, "scan": scan}, {**TINY_TEXT, "scan": scan}, 48)
    return answers(model, formula_images((size, size)).permute(0, 2, 3, 1).numpy())


def naflex_answers() -> dict[str, Tensor]:
    """The authors' NaFlex on one batch of images of several shapes, the shorter sequences padded."""
    image = {key: value for key, value in TINY_IMAGE.items() if key != "patch_size"}
    model = naflex_model({**image, "nposemb": NAFLEX_GRID}, {**TINY_TEXT, "scan": True}, 48)
    return answers(model, naflex_batch([formula_images(size) for size in NAFLEX_SIZES], TINY_IMAGE["patch_size"][0]))


def naflex_batch(images: list[Tensor], patch: int) -> Any:
    """What the authors' model reads: patches (B, N, P * P * 3), whether each is one, and its row and column."""
    parts = []
    for batch in images:
        rows, columns = batch.shape[-2] // patch, batch.shape[-1] // patch
        cut = batch.unflatten(3, (columns, patch)).unflatten(2, (rows, patch))  # (B, 3, rows, P, columns, P)
        patches = cut.permute(0, 2, 4, 3, 5, 1).reshape(len(batch), rows * columns, -1)
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        places = [grid.reshape(1, -1).expand(len(batch), -1) for grid in (torch.ones_like(row), row, column)]
        parts.append([patches, *places])
    length = max(part[0].shape[1] for part in parts)
    pads = [[torch.cat([p, p.new_zeros(len(p), length - p.shape[1], *p.shape[2:])], 1) for p in part] for part in parts]
    return tuple(torch.cat(column).numpy() for column in zip(*pads, strict=True))


def answers(model: Any, images: Any) -> dict[str, Tensor]:
    """What a model of the authors' answers, on weights of the formula."""
    from flax.traverse_util import unflatten_dict

    state = formula_state(flat_shapes(model, images, TINY_LENGTH))
    params = unflatten_dict({key.removeprefix("params/"): t.numpy() for key, t in state.items()}, sep="/")
    image, text, out = model.apply({"params": params}, images, tokens().numpy())
    found = {
        "tokens": out["img/encoded"],
        "embeddings": out["img/pre_logits"],
        "text_embeddings": out["txt/logits"],
        "logits": image @ text.T * out["t"] + out["b"],
    }
    return {key: torch.from_numpy(np.array(value)) for key, value in found.items()}


def write_tokenizer() -> None:
    import sentencepiece
    from transformers import SiglipTokenizer

    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=content,
        vocab_size=84,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    (HERE / "siglip_spiece.model.gz").write_bytes(gzip.compress(content.getvalue(), 9, mtime=0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spiece.model"
        path.write_bytes(content.getvalue())
        tokenizer = SiglipTokenizer(str(path), model_max_length=16)
        numbers = [tokenizer(text, padding="max_length", truncation=True).input_ids for text in TEXTS]
    rows = ",\n".join(f" {json.dumps(row)}" for row in numbers)
    (HERE / "siglip_tokens.json").write_text(f"[\n{rows}\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
