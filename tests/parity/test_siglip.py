"""SigLIP gives what transformers, the authors' code, timm and OpenCLIP give from the same weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state
from golden.make_siglip import (
    NAFLEX_GRID,
    NAFLEX_SIZES,
    OPEN_CLIP_TINY,
    TEXTS,
    TIMM_TINY,
    TINY_IMAGE,
    TINY_LENGTH,
    TINY_SIZES,
    TINY_TEXT,
    naflex_batch,
    tokens,
)
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    Siglip2Config,
    Siglip2ForImageClassification,
    Siglip2Model,
    Siglip2VisionConfig,
    Siglip2VisionModel,
    SiglipConfig,
    SiglipForImageClassification,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

import nexus
from nexus.errors import ConfigError, InputError
from nexus.evaluation import ZeroShotClassifier
from nexus.hub import read_tensors
from nexus.models.cv import SigLIP, SigLIPVision
from nexus.models.loading import load_converted, load_model
from nexus.models.tokenizer import tokenizer_from_folder
from nexus.transforms import naflex_size
from nexus.transforms.preprocess import PreprocessSpec, apply, normalise

HERE = Path(__file__).parent / "golden"
GOLDEN = load_file(HERE / "siglip_outputs.safetensors")

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
LARGER: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
}
TEXT: dict[str, Any] = {"vocab_size": 60, "max_position_embeddings": 10}

OUR_IMAGE: dict[str, Any] = {
    "image_size": 64,
    "patch_size": 16,
    "embed_dim": 48,
    "num_layers": 2,
    "num_heads": 3,
    "mlp_dim": 192,
}
OUR_TEXT: dict[str, Any] = {
    "vocab_size": 40,
    "context_length": TINY_LENGTH,
    "embed_dim": 24,
    "num_layers": 2,
    "num_heads": 2,
    "mlp_dim": 56,
    "projection_dim": 48,
}


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def pair(image: dict[str, Any], text: dict[str, Any]) -> Any:
    """A transformers model with weights that a fresh one does not have."""
    config = SiglipConfig(
        vision_config={"image_size": 32, "patch_size": 8, **image},
        text_config={**TEXT, **text, "projection_size": image["hidden_size"]},
    )
    config._attn_implementation = "eager"
    return randomised(SiglipModel(config))


# -- transformers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (24, 40)])
@pytest.mark.parametrize(("image", "text"), [(SMALL, SMALL), (LARGER, SMALL), (SMALL, LARGER)])
@torch.no_grad()
def test_pair_equals_transformers(
    image: dict[str, Any], text: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    theirs, images, ids = pair(image, text), torch.randn(2, 3, *size), torch.randint(60, (3, 10))
    model = through_folder(theirs, tmp_path)
    found = model(images, ids, output_attentions=True)
    call = {"output_hidden_states": True, "output_attentions": True}
    expected = theirs(pixel_values=images, input_ids=ids, interpolate_pos_encoding=True, **call)
    vision = theirs.vision_model(images, interpolate_pos_encoding=True, **call)
    close(found["logits"], expected.logits_per_image)
    close(model.probabilities(found["logits"]), expected.logits_per_image.sigmoid())
    close(found["embeddings"], vision.pooler_output)
    close(found["text_embeddings"], theirs.get_text_features(ids).pooler_output)
    close(found["tokens"], vision.last_hidden_state)
    for ours, state in zip(found["features"], vision.hidden_states[1:], strict=True):
        close(ours.flatten(2).transpose(1, 2), state)
    for ours, weights in zip(found["attentions"], vision.attentions, strict=True):
        close(ours, weights)


@torch.no_grad()
def test_masked_tokens_equal_transformers(tmp_path: Path) -> None:
    theirs, ids = pair(SMALL, SMALL), torch.randint(60, (3, 10))
    model = through_folder(theirs, tmp_path)
    mask = torch.ones(3, 10, dtype=torch.int64)
    mask[0, 4:], mask[1, 7:] = 0, 0
    close(model.encode_text(ids, mask), theirs.get_text_features(ids, mask).pooler_output)
    assert not torch.allclose(model.encode_text(ids, mask)[0], model.encode_text(ids)[0])


@pytest.mark.parametrize("side", [32, 37])
@torch.no_grad()
def test_a_remainder_that_no_patch_covers_is_left_away(side: int, tmp_path: Path) -> None:
    """So400m/14 takes images of 384 pixels, which is 27 patches and 6 pixels; another such size is a mistake."""
    theirs = pair({**SMALL, "image_size": side}, SMALL)
    model, images = through_folder(theirs, tmp_path), torch.randn(2, 3, side, side)
    found = model(images)
    close(found["embeddings"], theirs.get_image_features(images).pooler_output)
    assert found["pyramid"][8].shape == (2, 32, 4, 4)
    with pytest.raises(InputError, match="38x38"):
        model(torch.randn(1, 3, 38, 38))


@pytest.mark.parametrize("use_head", [True, False])
@torch.no_grad()
def test_image_tower_equals_transformers(use_head: bool, tmp_path: Path) -> None:
    config = SiglipVisionConfig(**SMALL, image_size=32, patch_size=8, vision_use_head=use_head)
    theirs, images = randomised(SiglipVisionModel(config)), torch.randn(2, 3, 32, 32)
    model, expected = through_folder(theirs, tmp_path), theirs(images)
    assert isinstance(model, SigLIPVision)
    close(model(images)["tokens"], expected.last_hidden_state)
    pooled = expected.pooler_output if use_head else expected.last_hidden_state.mean(1)
    close(model(images)["embeddings"], pooled)
    from_memory = load_converted(SigLIPVision(model.config), theirs.state_dict(), "siglip", "memory")
    assert from_memory.digest() == model.digest()


@torch.no_grad()
def test_classifier_equals_transformers(tmp_path: Path) -> None:
    names = {index: f"class {index}" for index in range(5)}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    config = SiglipConfig(vision_config=vision, text_config=TEXT, num_labels=5, id2label=names)
    theirs, images = randomised(SiglipForImageClassification(config)), torch.randn(2, 3, 40, 32)
    model = through_folder(theirs, tmp_path)
    close(model(images)["logits"], theirs(images, interpolate_pos_encoding=True).logits)
    assert model.labels == tuple(names.values())


@torch.no_grad()
def test_a_tower_takes_its_part_of_a_pair(tmp_path: Path) -> None:
    theirs, images = pair(SMALL, SMALL), torch.randn(2, 3, 32, 32)
    model = through_folder(theirs, tmp_path)
    alone = load_converted(SigLIPVision(model.config.image), read_tensors(tmp_path), "siglip", "pair").eval()
    close(alone(images)["embeddings"], model(images)["embeddings"])


def test_what_a_config_leaves_out_is_transformers_default() -> None:
    """The files of google/siglip2-* state the vocabulary and the image size only."""
    from nexus.models.cv.siglip.convert import config_from_huggingface

    described = {"model_type": "siglip", "text_config": {"vocab_size": 256000}, "vision_config": {"image_size": 512}}
    theirs = SiglipConfig(**{key: value for key, value in described.items() if key != "model_type"})
    assert config_from_huggingface(described) == config_from_huggingface(json.loads(theirs.to_json_string(False)))


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    SiglipVisionModel(SiglipVisionConfig(**SMALL, image_size=32, hidden_act="gelu")).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"hidden_act = 'gelu' in config\.json is not supported"):
        load_model(tmp_path)


def test_processor_of_a_folder_becomes_the_spec(tmp_path: Path) -> None:
    from transformers import SiglipImageProcessorPil

    SiglipImageProcessorPil().save_pretrained(tmp_path)
    SiglipVisionModel(SiglipVisionConfig(**SMALL, image_size=32)).save_pretrained(tmp_path)
    half = (0.5, 0.5, 0.5)
    expected = PreprocessSpec(resize=(224, 224), crop=None, interpolation="bicubic", mean=half, std=half)
    assert load_model(tmp_path).preprocess == expected


# -- NaFlex ------------------------------------------------------------------------------------------------------------

NO_SPECIAL_TOKENS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
"""transformers' defaults for these are beyond a small vocabulary."""


def naflex_inputs(*images: Tensor) -> dict[str, Tensor]:
    """Several batches (B, 3, H, W) as one of transformers' NaFlex, in patches of 8, the shorter sequences padded."""
    patches, mask, rows, columns = (torch.from_numpy(values) for values in naflex_batch(list(images), 8))
    shapes = torch.stack([rows.amax(1), columns.amax(1)], 1) + 1
    return {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": shapes}


def naflex_pair(image: dict[str, Any], text: dict[str, Any]) -> Any:
    config = Siglip2Config(
        vision_config={"num_patches": 16, "patch_size": 8, **image},
        text_config={**TEXT, **NO_SPECIAL_TOKENS, **text, "projection_size": image["hidden_size"]},
    )
    config._attn_implementation = "eager"
    return randomised(Siglip2Model(config))


@pytest.mark.parametrize(("image", "text"), [(SMALL, SMALL), (LARGER, SMALL)])
@torch.no_grad()
def test_naflex_equals_transformers(image: dict[str, Any], text: dict[str, Any], tmp_path: Path) -> None:
    """A batch of one shape here gives what transformers gives in a batch of all of them, padded and masked.

    No shape is one patch wide: for those, PyTorch 2.13 repeats their first position in every row. The authors' code,
    below, agrees with ours.
    """
    theirs, ids = naflex_pair(image, text), torch.randint(60, (3, 10))
    batches = [torch.randn(2, 3, *size) for size in [(32, 32), (24, 40), (8, 16), (48, 72)]]
    model = through_folder(theirs, tmp_path)
    assert isinstance(model, SigLIP)
    expected = theirs(input_ids=ids, **naflex_inputs(*batches), output_hidden_states=True)
    vision = theirs.vision_model(**naflex_inputs(*batches), output_hidden_states=True)
    for start, images in zip(range(0, 8, 2), batches, strict=True):
        found, mine = model(images, ids), slice(start, start + 2)
        length = found["tokens"].shape[1]
        close(found["logits"], expected.logits_per_image[mine])
        close(found["embeddings"], vision.pooler_output[mine])
        close(found["tokens"], vision.last_hidden_state[mine, :length])
        for ours, state in zip(found["features"], vision.hidden_states[1:], strict=True):
            close(ours.flatten(2).transpose(1, 2), state[mine, :length])
    close(found["text_embeddings"], theirs.get_text_features(ids).pooler_output)


@torch.no_grad()
def test_naflex_image_tower_equals_transformers(tmp_path: Path) -> None:
    """From a folder, from memory, as a part of a pair, and with the linear layer of a classifier."""
    vision = {**SMALL, "num_patches": 16, "patch_size": 8}
    images = torch.randn(2, 3, 24, 56)
    theirs = randomised(Siglip2VisionModel(Siglip2VisionConfig(**vision)))
    model, expected = through_folder(theirs, tmp_path / "tower"), theirs(**naflex_inputs(images))
    assert isinstance(model, SigLIPVision)
    close(model(images)["tokens"], expected.last_hidden_state)
    close(model(images)["embeddings"], expected.pooler_output)
    from_memory = load_converted(SigLIPVision(model.config), theirs.state_dict(), "siglip", "memory")
    assert from_memory.digest() == model.digest()

    config = Siglip2Config(vision_config=vision, text_config={**TEXT, **NO_SPECIAL_TOKENS}, num_labels=5)
    classifier = randomised(Siglip2ForImageClassification(config))
    model = through_folder(classifier, tmp_path / "classifier")
    close(model(images)["logits"], classifier(**naflex_inputs(images)).logits)


@torch.no_grad()
def test_naflex_equals_the_authors_code(tmp_path: Path) -> None:
    """On one padded batch of several shapes; patches go through a linear layer, and positions are kept as a grid."""
    import numpy as np

    shapes = big_vision_shapes(scan=True) | {
        "params/img/embedding/kernel": (8 * 8 * 3, 48),
        "params/img/pos_embedding": (NAFLEX_GRID, NAFLEX_GRID, 48),
    }
    separate = {
        key.replace("encoderblock/", f"encoderblock_{block}/"): shape[1:]
        for key, shape in shapes.items()
        if key.startswith("params/img/Transformer/encoderblock/")
        for block in range(2)
    }
    shapes = {key: shape for key, shape in shapes.items() if "img/Transformer/encoderblock/" not in key} | separate
    state = formula_state(shapes)
    np.savez(tmp_path / "pair.npz", **{key: tensor.numpy() for key, tensor in state.items()})
    image = {**OUR_IMAGE, "image_size": 8 * NAFLEX_GRID, "naflex": True, "patch_size": 8, "mlp_dim": 96}
    model = SigLIP({"image": image, "text": OUR_TEXT})
    model = load_converted(model, read_tensors(tmp_path / "pair.npz"), "siglip", "pair.npz").eval()  # type: ignore[assignment]
    for start, size in zip(range(0, 8, 2), NAFLEX_SIZES, strict=True):
        found = model(formula_images(size), tokens())
        length = found["tokens"].shape[1]
        close(found["tokens"], GOLDEN["big_vision.naflex.tokens"][start : start + 2, :length])
        for key in ("embeddings", "logits"):
            close(found[key], GOLDEN[f"big_vision.naflex.{key}"][start : start + 2])


def test_what_a_naflex_config_leaves_out_is_transformers_default() -> None:
    from nexus.models.cv.siglip.convert import config_from_huggingface

    described = {"model_type": "siglip2", "text_config": {"vocab_size": 256000}, "vision_config": {}}
    theirs = Siglip2Config(text_config={"vocab_size": 256000}, vision_config={})
    config = config_from_huggingface(described)
    assert config == config_from_huggingface(json.loads(theirs.to_json_string(False)))
    assert (config["image"]["image_size"], config["image"]["naflex"]) == (256, True)


def test_a_grid_of_positions_that_is_no_square_is_named() -> None:
    from nexus.models.cv.siglip.convert import config_from_huggingface

    with pytest.raises(ConfigError, match=r"num_patches = 250 in config\.json is no square"):
        config_from_huggingface({"model_type": "siglip2_vision_model", "num_patches": 250})


def test_naflex_processor_of_a_folder_becomes_a_square(tmp_path: Path) -> None:
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=70).save_pretrained(tmp_path)
    Siglip2VisionModel(Siglip2VisionConfig(**SMALL, patch_size=8)).save_pretrained(tmp_path)
    half = (0.5, 0.5, 0.5)
    expected = PreprocessSpec(resize=(64, 64), crop=None, interpolation="bilinear", mean=half, std=half)
    assert load_model(tmp_path).preprocess == expected


@pytest.mark.parametrize("size", [(640, 427), (333, 501), (200, 1601), (40, 31), (40, 1), (256, 256)])
@torch.no_grad()
def test_pictures_in_their_own_aspect_equal_the_reference(size: tuple[int, int], tmp_path: Path) -> None:
    """From the picture to the vector: the size, the pixels within a step of 1/255, and the model on them."""
    import numpy as np

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))
    inputs = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=64)(picture, return_tensors="pt")
    half = (0.5, 0.5, 0.5)
    height, width = naflex_size(*picture.size, 8, 64)
    spec = PreprocessSpec(resize=(height, width), crop=None, interpolation="bilinear", mean=half, std=half)
    pixels = torch.from_numpy(normalise(apply(picture, spec)[None], spec))
    patches = naflex_inputs(pixels)["pixel_values"]
    assert inputs["spatial_shapes"].tolist() == [[height // 8, width // 8]]
    assert (patches - inputs["pixel_values"][:, : patches.shape[1]]).abs().max() * 0.5 <= 1.01 / 255
    theirs = randomised(Siglip2VisionModel(Siglip2VisionConfig(**SMALL, num_patches=16, patch_size=8)))
    cosine = torch.cosine_similarity(
        through_folder(theirs, tmp_path)(pixels)["embeddings"], theirs(**inputs).pooler_output
    )
    assert cosine.item() > 0.99999


# -- the authors' code, timm, OpenCLIP ---------------------------------------------------------------------------------


def big_vision_shapes(scan: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the small pair in the authors' layout: those of a full-size one, with other numbers."""
    name = "siglip2_vitb16_224" if scan else "siglip_vitb16_224"
    keys = json.loads(gzip.decompress((HERE / "siglip_keys.json.gz").read_bytes()))["big_vision"][name]
    return {key: small_shape(key, tuple(shape)) for key, shape in keys.items() if is_in_small(key)}


def is_in_small(key: str) -> bool:
    return not any(f"encoderblock_{number}/" in key for number in range(2, 12))


def small_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    image = key.startswith("params/img/")
    tower = TINY_IMAGE if image else TINY_TEXT
    sizes = {
        768: tower["width"],
        3072: tower["mlp_dim"],
        12: tower["num_heads"],
        64: tower["width"] // tower["num_heads"],
    }
    if key.endswith("pos_embedding"):
        return (1, 16 if image else TINY_LENGTH, tower["width"])
    if key.startswith("params/txt/head/"):
        return (24, 48)[-len(shape) :]
    if key.endswith("Embed_0/embedding"):
        return (40, 24)
    if key == "params/img/embedding/kernel":
        return (8, 8, 3, 48)
    if "/encoderblock/" in key:
        return (2, *(sizes[side] for side in shape[1:]))
    return tuple(sizes.get(side, side) for side in shape)


@pytest.mark.parametrize("kind", TINY_SIZES)
@torch.no_grad()
def test_equals_the_authors_code(kind: str, tmp_path: Path) -> None:
    """Their files in both forms: a block at a time, and all blocks as one."""
    import numpy as np

    size = TINY_SIZES[kind]
    state = formula_state(big_vision_shapes(scan=kind == "remainder"))
    np.savez(tmp_path / "pair.npz", **{key: tensor.numpy() for key, tensor in state.items()})
    image = {**OUR_IMAGE, "image_size": size, "patch_size": 8, "mlp_dim": 96}
    model = SigLIP({"image": image, "text": OUR_TEXT})
    model = load_converted(model, read_tensors(tmp_path / "pair.npz"), "siglip", "pair.npz").eval()  # type: ignore[assignment]
    found = model(formula_images((size, size)), tokens())
    close(found["tokens"], GOLDEN[f"big_vision.{kind}.tokens"])
    for key in ("embeddings", "text_embeddings", "logits"):
        close(found[key], GOLDEN[f"big_vision.{kind}.{key}"])


@torch.no_grad()
def test_equals_timm() -> None:
    model = SigLIPVision(OUR_IMAGE)
    names = {key.replace("attn_pool.probe", "attn_pool.latent"): t.shape for key, t in model.state_dict().items()}
    model = load_converted(model, formula_state(names), "siglip", "timm").eval()  # type: ignore[assignment]
    found = model(formula_images((64, 64)))
    close(found["tokens"], GOLDEN["timm.tokens"])
    close(found["embeddings"], GOLDEN["timm.embeddings"])
    assert TIMM_TINY["img_size"] == OUR_IMAGE["image_size"]


@torch.no_grad()
def test_text_tower_equals_open_clip() -> None:
    width, out = OPEN_CLIP_TINY["width"], OPEN_CLIP_TINY["output_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (TINY_LENGTH, width),
        "token_embedding.weight": (40, width),
        "ln_final.weight": (width,),
        "ln_final.bias": (width,),
        "text_projection.weight": (out, width),
        "text_projection.bias": (out,),
    }
    for block in range(2):
        stem = f"transformer.resblocks.{block}"
        shapes |= {f"{stem}.ln_{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
        shapes |= {f"{stem}.attn.in_proj_weight": (3 * width, width), f"{stem}.attn.in_proj_bias": (3 * width,)}
        shapes |= {f"{stem}.attn.out_proj.weight": (width, width), f"{stem}.attn.out_proj.bias": (width,)}
        shapes |= {f"{stem}.mlp.c_fc.weight": (56, width), f"{stem}.mlp.c_fc.bias": (56,)}
        shapes |= {f"{stem}.mlp.c_proj.weight": (width, 56), f"{stem}.mlp.c_proj.bias": (width,)}
    model = SigLIP({"image": OUR_IMAGE, "text": OUR_TEXT})
    trunk = {key.replace("probe", "latent"): tensor for key, tensor in model.image.state_dict().items()}
    state = {f"visual.trunk.{key}": tensor for key, tensor in trunk.items()}
    state |= {f"text.{key}": tensor for key, tensor in formula_state(shapes).items()}
    state |= {"logit_scale": torch.tensor(2.0), "logit_bias": torch.tensor(-3.0)}
    loaded = load_converted(SigLIP(model.config), state, "siglip", "open_clip").eval()
    close(loaded.encode_text(tokens()), GOLDEN["open_clip.text_embeddings"])  # type: ignore[operator]
    images = torch.randn(2, 3, 64, 64)
    close(loaded(images)["embeddings"], model.eval()(images)["embeddings"])


# -- texts -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as those of google/siglip-*: config, weights and ``spiece.model``."""
    pair(SMALL, {**SMALL, "vocab_size": 84, "max_position_embeddings": 16}).save_pretrained(tmp_path)
    (tmp_path / "spiece.model").write_bytes(gzip.decompress((HERE / "siglip_spiece.model.gz").read_bytes()))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": "</s>"}))
    return tmp_path


def test_texts_become_the_numbers_that_transformers_gives(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    expected = json.loads((HERE / "siglip_tokens.json").read_text())
    assert model.tokenizer is not None
    assert model.tokenizer(TEXTS).tolist() == expected
    again = load_model(model.save_pretrained(tmp_path / "ours"))
    assert again.tokenizer is not None
    assert again.tokenizer(TEXTS).tolist() == expected
    assert again.tokenizer.description == model.tokenizer.description


@pytest.mark.parametrize("tokenizer_class", ["Siglip2Tokenizer", "GemmaTokenizer"])
def test_texts_of_siglip_2_are_lower_cased(tokenizer_class: str, tmp_path: Path) -> None:
    """The repositories hold Gemma's tokenizer, which does not; the models were trained on lower-cased texts."""
    import transformers

    files = gemma_files()
    reference = transformers.Siglip2Tokenizer(**files)
    stored = getattr(transformers, tokenizer_class)(**files)
    stored.save_pretrained(tmp_path)
    texts = ["a cat", "A CAT, Über", "漢 x", "", "many words that are more than the model takes"]
    found = tokenizer_from_folder(tmp_path, 16, lowercase=SigLIP.lowercase)
    assert found is not None
    assert found(texts).tolist() == reference(texts, **PADDING).input_ids


def gemma_files() -> dict[str, Any]:
    """A small tokenizer as Gemma's: what transformers' classes of it take."""
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz.,ü", "ca", "cat", "▁cat"]
    vocabulary = [
        *("<pad>", "<eos>", "<bos>", "<unk>", "<mask>"),
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *letters,
    ]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    merges = [("c", "a"), ("ca", "t"), ("▁", "cat")]
    return {"vocab": numbers, "merges": merges, "add_bos_token": False, "add_eos_token": True}


PADDING: dict[str, Any] = {"padding": "max_length", "padding_side": "right", "truncation": True, "max_length": 16}


@torch.no_grad()
def test_a_naflex_folder_labels_pictures_by_words(tmp_path: Path) -> None:
    """From pictures and labels to probabilities, as transformers' processor, tokenizer and model give them."""
    import numpy as np
    from transformers import Siglip2Tokenizer

    theirs = naflex_pair(SMALL, {**SMALL, "vocab_size": 300, "max_position_embeddings": 16})
    processor = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    tokenizer = Siglip2Tokenizer(**gemma_files())
    for part in (theirs, processor, tokenizer):
        part.save_pretrained(tmp_path)
    rng, labels = np.random.default_rng(0), ["A cat", "a bus", "über"]
    pictures = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(3)]
    expected = theirs(
        tokenizer(labels, **PADDING, return_tensors="pt").input_ids, **processor(pictures, return_tensors="pt")
    )
    with nexus.load(tmp_path, engine="eager") as predictor:
        assert predictor.preprocess.size == (32, 32)
        classifier = ZeroShotClassifier(predictor, labels, "none")
        found = classifier.probabilities(predictor.embed(pictures).vectors)
    close(torch.from_numpy(np.asarray(found)).float(), expected.logits_per_image.sigmoid())
