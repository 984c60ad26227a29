"""CLIP gives what transformers, the authors' own code and open_clip give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_clip import GAIN, formula_texts
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPForImageClassification,
    CLIPModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
)

from nexus import hub
from nexus.errors import CheckpointMismatchError, ConfigError
from nexus.models.base import NexusModule
from nexus.models.cv import CLIP, CLIPResNet, CLIPVision
from nexus.models.loading import load_converted, load_model
from nexus.models.tokenizer import Tokenizer, tokenizer_of_variant
from nexus.registry import variant
from nexus.transforms.preprocess import PreprocessSpec

IMAGE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
LARGER: dict[str, Any] = {
    **IMAGE,
    "hidden_size": 48,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "image_size": 48,
}
TEXT: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 12,
    "eos_token_id": 59,
    "bos_token_id": 58,
}
SIZES = [(32, 32), (48, 48), (24, 40)]


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


def pair(image: dict[str, Any] = IMAGE, text: dict[str, Any] = TEXT, **changes: Any) -> Any:
    """A transformers model with weights that a fresh one does not have."""
    config = CLIPConfig(vision_config=image, text_config=text, projection_dim=20, **changes)
    config._attn_implementation = "eager"
    return randomised(CLIPModel(config))


def sentences(end: int = 59) -> Tensor:
    """Three texts of other lengths, padded with their end token."""
    ids = torch.randint(1, 50, (3, 12))
    for row, length in enumerate((4, 12, 7)):
        ids[row, length - 1 :] = end
    return ids


# -- transformers ------------------------------------------------------------------------------------------------------


def assert_equal_images(model: NexusModule, theirs: Any, images: Tensor) -> None:
    """Compare an image tower with `CLIPVisionModel`: tokens, every block's output, every attention weight."""
    call = {"interpolate_pos_encoding": True, "output_hidden_states": True, "output_attentions": True}
    expected = theirs(images, **call)
    found = model(images, output_attentions=True)
    close(
        found["tokens"], theirs.post_layernorm(expected.last_hidden_state)[:, 1:]
    )  # theirs norms the class token only
    for ours, prefix, state in zip(
        found["features"], found["aux"]["prefix_tokens"], expected.hidden_states[1:], strict=True
    ):
        close(ours.flatten(2).transpose(1, 2), state[:, 1:])
        close(prefix, state[:, :1])
    for ours, weights in zip(found["attentions"], expected.attentions, strict=True):
        close(ours, weights)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("image", "text"),
    [
        (IMAGE, TEXT),
        (LARGER, {**TEXT, "hidden_size": 36}),
        ({**IMAGE, "hidden_act": "gelu"}, {**TEXT, "hidden_act": "gelu"}),
    ],
)
@torch.no_grad()
def test_pair_equals_transformers(
    image: dict[str, Any], text: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    theirs, images, ids = pair(image, text), torch.randn(2, 3, *size), sentences()
    model = through_folder(theirs, tmp_path)
    found = model(images, ids)
    expected = theirs(pixel_values=images, input_ids=ids, interpolate_pos_encoding=True)
    normalised = torch.nn.functional.normalize
    close(normalised(found["embeddings"], dim=-1), expected.image_embeds)
    close(normalised(found["text_embeddings"], dim=-1), expected.text_embeds)
    close(found["embeddings"], theirs.get_image_features(images, interpolate_pos_encoding=True).pooler_output)
    close(found["text_embeddings"], theirs.get_text_features(ids).pooler_output)
    close(found["logits"], expected.logits_per_image)
    close(model.probabilities(found["logits"]), expected.logits_per_image.softmax(-1))
    assert_equal_images(model.image, theirs.vision_model, images)


@torch.no_grad()
def test_the_mask_of_padding_changes_nothing(tmp_path: Path) -> None:
    theirs, ids = pair(), sentences()
    mask = (torch.cumsum(ids == 59, dim=1) <= 1).long()
    expected = theirs.get_text_features(ids, attention_mask=mask).pooler_output
    close(through_folder(theirs, tmp_path).encode_text(ids, mask), expected)


@pytest.mark.parametrize(("stated", "end"), [(2, 59), (7, 7)])
@torch.no_grad()
def test_the_end_of_a_text_equals_transformers(stated: int, end: int, tmp_path: Path) -> None:
    """In old configs, 2 stands for the highest number; another number is meant as it stands."""
    theirs, ids = pair(text={**TEXT, "eos_token_id": stated}), sentences(end)
    close(through_folder(theirs, tmp_path).encode_text(ids), theirs.get_text_features(ids).pooler_output)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_image_towers_equal_transformers(size: tuple[int, int], tmp_path: Path) -> None:
    images, config = torch.randn(2, 3, *size), CLIPVisionConfig(**IMAGE, projection_dim=20, attn_implementation="eager")
    bare = randomised(CLIPVisionModel(config))
    model = through_folder(bare, tmp_path / "bare")
    close(model(images)["embeddings"], bare(images, interpolate_pos_encoding=True).pooler_output)
    assert_equal_images(model, bare, images)
    projected = randomised(CLIPVisionModelWithProjection(config))
    model = through_folder(projected, tmp_path / "projected")
    close(model(images)["embeddings"], projected(images, interpolate_pos_encoding=True).image_embeds)


@torch.no_grad()
def test_classifier_equals_transformers(tmp_path: Path) -> None:
    names = {index: f"class {index}" for index in range(7)}
    config = CLIPConfig(vision_config=IMAGE, text_config=TEXT, id2label=names)
    theirs, images = randomised(CLIPForImageClassification(config)), torch.randn(2, 3, 32, 32)
    model = through_folder(theirs, tmp_path)
    close(model(images)["logits"], theirs(images).logits)
    assert model.labels == tuple(names.values())


@torch.no_grad()
def test_an_image_tower_takes_its_part_of_a_pair(tmp_path: Path) -> None:
    theirs = pair()
    model = through_folder(theirs, tmp_path)
    tower = CLIPVision(model.config.image)
    load_converted(tower, theirs.state_dict(), "clip", "memory")
    assert tower.digest() == model.image.digest()
    load_converted(CLIP(model.config), theirs.state_dict(), "clip", "memory")


@torch.no_grad()
def test_photographs_against_texts_equal_transformers(theirs: Any, photos: Path, tmp_path: Path) -> None:
    """From files to numbers: a folder as transformers writes it, with its processor and its tokenizer."""
    from PIL import Image
    from transformers import CLIPImageProcessorPil, CLIPProcessor

    from nexus.transforms import preprocess

    processor = CLIPProcessor(image_processor=CLIPImageProcessorPil(), tokenizer=theirs)
    text = {**TEXT, "vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 49407}
    reference = pair({**IMAGE, "patch_size": 32, "image_size": 224}, text)
    processor.save_pretrained(tmp_path)
    model = through_folder(reference, tmp_path)
    authors = PreprocessSpec.parse(variant("clip_vitb32").preprocess)
    assert model.preprocess == authors.replace(crop_rounding="down")
    assert model.tokenizer is not None

    pictures = [Image.open(photos / name).convert("RGB") for name in ("coffee.png", "gibbon.jpg")]
    sentences = ["a cup of coffee", "a gibbon, sitting in a tree", "wörd " * 100]
    pixels = np.stack([preprocess.apply(picture, model.preprocess) for picture in pictures])
    images = torch.from_numpy(preprocess.normalise(pixels, model.preprocess))
    found = model(images, model.tokenizer(sentences))["logits"]
    inputs = processor(images=pictures, text=sentences, return_tensors="pt", padding=True, truncation=True)
    close(found, reference(**inputs).logits_per_image, 1e-3)  # single pixels are rounded otherwise


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    pair({**IMAGE, "hidden_act": "relu"}).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="activation = 'relu'"):
        load_model(tmp_path)


# -- golden files of `golden/make_clip.py` -----------------------------------------------------------------------------

GOLDEN = load_file(Path(__file__).parent / "golden" / "clip_outputs.safetensors")

VIT: dict[str, Any] = {"image_size": 32, "patch_size": 8, "embed_dim": 64, "num_layers": 2, "num_heads": 1}
RESNET: dict[str, Any] = {"image_size": 64, "width": 16, "depths": (1, 2, 1, 1), "num_heads": 8}
TOWERS = {"vit": VIT, "resnet": RESNET}
SPACE = {"projection_dim": 32}
WORDS: dict[str, Any] = {"context_length": 12, "vocab_size": 60, "embed_dim": 64, "num_layers": 2, "num_heads": 1}


def from_formula(model: NexusModule, library: str, kind: str) -> Any:
    """Our model with the weights that the generator gave the other one, through the converter."""
    shapes = read_keys("clip")["small"][f"{library}.{kind}"]
    return load_converted(model, formula_state(shapes, gain=GAIN[kind]), "clip", "formula").eval()


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@pytest.mark.parametrize(("library", "activation"), [("openai", "quick_gelu"), ("open_clip", "gelu")])
@torch.no_grad()
def test_pair_equals_the_authors(library: str, activation: str, kind: str) -> None:
    act = {"activation": activation}
    image = {**TOWERS[kind], **SPACE, **(act if kind == "vit" else {})}
    model = from_formula(CLIP({"image": image, "text": {**WORDS, **SPACE, **act}}), library, kind)
    found = model(formula_images((image["image_size"], image["image_size"])), formula_texts())
    close(found["embeddings"], GOLDEN[f"{library}.{kind}.image"])
    close(found["text_embeddings"], GOLDEN[f"{library}.{kind}.text"])
    close(found["logits"], GOLDEN[f"{library}.{kind}.logits"])


@torch.no_grad()
def test_vision_transformer_equals_timm() -> None:
    model = from_formula(CLIPVision({**VIT, "num_classes": 32, "projection_dim": 0}), "timm", "vit")
    found = model(formula_images((32, 32)))
    close(found["logits"], GOLDEN["timm.vit.32x32.head"])
    close(found["tokens"], GOLDEN["timm.vit.32x32.features"][:, 1:])


@pytest.mark.parametrize("size", [(64, 64), (128, 96), (32, 64)])
@torch.no_grad()
def test_resnet_equals_timm(size: tuple[int, int]) -> None:
    """At other sizes too: of the implementations, only timm resamples the positions of the last pool."""
    model = from_formula(CLIPResNet({**RESNET, **SPACE}), "timm", "resnet")
    found = model(formula_images(size))
    close(found["embeddings"], GOLDEN[f"timm.resnet.{size[0]}x{size[1]}.head"])
    close(found["pyramid"][32], GOLDEN[f"timm.resnet.{size[0]}x{size[1]}.features"])


@torch.no_grad()
def test_timm_s_projection_is_ours() -> None:
    """timm keeps the authors' projection as its head, with a bias of zeros."""
    state = dict(CLIPVision({**VIT, **SPACE}).state_dict())
    theirs = {key.replace("proj.weight", "head.weight") if key == "proj.weight" else key: t for key, t in state.items()}
    model = load_converted(CLIPVision({**VIT, **SPACE}), {**theirs, "head.bias": torch.zeros(32)}, "clip", "timm")
    assert torch.equal(model.proj.weight, state["proj.weight"])  # type: ignore[union-attr]
    with pytest.raises(CheckpointMismatchError, match=r"head\.bias"):
        load_converted(CLIPVision({**VIT, **SPACE}), {**theirs, "head.bias": torch.ones(32)}, "clip", "timm")


# -- tokens ------------------------------------------------------------------------------------------------------------

NASTY = (
    "",
    " ",
    "a photo of a cat",
    "A PHOTO   of\ta\n\ncat.",
    "it's, they're; I'd've - 'tis 'S 'LL",
    "12345 3.14 x²  ½ ٣٤",
    "café CAFÉ cafe\u0301 ﬁne naïve Straße İstanbul ΣΊΣΥΦΟΣ",
    "日本語のテキスト 한국어 العربية עברית हिन्दी ไทย",
    "🐈 🐈‍⬛ 👩🏽‍🚀 🇺🇸 ❤️",
    "&lt;b&gt; &amp;amp; &#39; <br/>",
    "<|startoftext|> a <|endoftext|> b <|endoftext|>",
    "hello!!!??? ... ---- ____ #tag @user http://example.com/?q=1&r=2",
    "zero\u200bwidth \ufeffbom non\u00a0breaking \u2028line",
    "\x00\x01\x1f control",
    "supercalifragilisticexpialidocious" * 3,
    "word " * 200,
    "🐈" * 100,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    stated = variant("clip_vitb32").tokenizer
    assert stated
    return tokenizer_of_variant(stated, 77)


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer) -> Any:
    """Their tokenizer with the same vocabulary, built by their own code from vocabulary and merges."""
    model = tokenizer.description["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=77)


@pytest.mark.parametrize("text", NASTY)
def test_tokens_equal_transformers(text: str, tokenizer: Tokenizer, theirs: Any) -> None:
    expected = theirs([text], padding="max_length", truncation=True, max_length=77, return_tensors="pt")["input_ids"]
    assert torch.equal(tokenizer([text]), expected)


def test_tokens_equal_the_authors(tokenizer: Tokenizer) -> None:
    """The numbers that openai/CLIP's own tokenizer gives; it pads with 0, which is behind the end and never read."""
    found = tokenizer(["a photo of a cat", "hello world!"])
    assert found[0, :7].tolist() == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert found[1, :5].tolist() == [49406, 3306, 1002, 256, 49407]


# -- the real weights --------------------------------------------------------------------------------------------------


@pytest.mark.registry
@torch.no_grad()
def test_real_weights_equal_transformers_and_onnxruntime() -> None:
    """From the same 8-bit file: transformers gives the same; onnxruntime rounds what enters each layer too."""
    model = CLIPVision.from_pretrained("clip_vitb16.image_int8", mirror=True)
    stated = variant("clip_vitb16.image_int8")
    theirs = CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=16)).eval()
    theirs.load_state_dict(hub.read_tensors(hub.fetch(stated.weights, name=stated.name, mirror=True)))
    images = formula_images((224, 224))
    found = model(images, outputs=("embeddings",))["embeddings"]
    close(found, theirs(images).image_embeds, 1e-4)
    assert torch.nn.functional.cosine_similarity(found, GOLDEN["onnx"]).min() > 0.98


@pytest.mark.registry
@torch.no_grad()
def test_real_features_know_what_is_alike(cat: Path, photos: Path) -> None:
    """The cosines that the same file gives in onnxruntime: 0.99 for a cat and its mirror image, 0.7 beside a coffee."""
    from PIL import Image, ImageOps

    from nexus.transforms import preprocess

    model = CLIPVision.from_pretrained("clip_vitb16.image_int8", mirror=True)
    pictures = [Image.open(path).convert("RGB") for path in (cat, photos / "coffee.png")]
    pixels = np.stack([preprocess.apply(p, model.preprocess) for p in (*pictures, ImageOps.mirror(pictures[0]))])
    batch = torch.from_numpy(preprocess.normalise(pixels, model.preprocess))
    vectors = torch.nn.functional.normalize(model(batch, outputs=("embeddings",))["embeddings"], dim=-1)
    similar = vectors @ vectors.T
    assert abs(similar[0, 2] - 0.99) < 0.01
    assert abs(similar[0, 1] - 0.70) < 0.04
