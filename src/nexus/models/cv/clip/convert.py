"""Checkpoints of CLIP in other layouts, and Hugging Face configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.models.conversion import (
    CheckpointFormat,
    State,
    fuse,
    fuse_qkv,
    huggingface_classes,
    rename,
    square_side,
)
from nexus.models.cv.clip.model import CLIPConfig

__all__ = ["FORMATS", "class_from_huggingface", "config_from_huggingface"]

TOWERS = {"vision_model": "image", "text_model": "text"}

TRANSFORMERS: dict[str, str | None] = {
    "vision_model.embeddings.class_embedding": "image.cls_token",
    "vision_model.embeddings.patch_embedding": "image.patch_embed.proj",
    "vision_model.embeddings.position_embedding.weight": "image.pos_embed",
    "vision_model.embeddings.position_ids": None,  # 0, 1, 2, ...: in files of older versions
    "vision_model.pre_layrnorm": "image.norm_pre",  # their spelling
    "vision_model.post_layernorm": "image.norm",
    "visual_projection": "image.proj",
    "classifier": "image.head",
    "text_model.embeddings.token_embedding": "text.token_embed",
    "text_model.embeddings.position_embedding.weight": "text.pos_embed",
    "text_model.embeddings.position_ids": None,
    "text_model.final_layer_norm": "text.norm",
    "text_projection": "text.proj",
    **{
        f"{theirs}.encoder.layers.{{}}.{part}": f"{ours}.blocks.{{}}.{name}"
        for theirs, ours in TOWERS.items()
        for part, name in {
            "layer_norm1": "norm1",
            "self_attn.q_proj": "attn.q",
            "self_attn.k_proj": "attn.k",
            "self_attn.v_proj": "attn.v",
            "self_attn.out_proj": "attn.proj",
            "layer_norm2": "norm2",
            "mlp": "mlp",
        }.items()
    },
}

BLOCK = {
    "ln_1": "norm1",
    "attn.in_proj_weight": "attn.qkv.weight",
    "attn.in_proj_bias": "attn.qkv.bias",
    "attn.out_proj": "attn.proj",
    "ln_2": "norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}

OPENAI_TEXT: dict[str, str | None] = {
    "token_embedding": "text.token_embed",
    "positional_embedding": "text.pos_embed",
    **{f"transformer.resblocks.{{}}.{part}": f"text.blocks.{{}}.{name}" for part, name in BLOCK.items()},
    "ln_final": "text.norm",
    "text_projection": "text.proj.weight",
    # numbers that the authors' files hold beside the weights
    "input_resolution": None,
    "context_length": None,
    "vocab_size": None,
}
"""openai/CLIP's keys -> ours. open_clip's are the same, here and below."""

OPENAI_VIT: dict[str, str | None] = {
    "visual.class_embedding": "image.cls_token",
    "visual.conv1": "image.patch_embed.proj",
    "visual.positional_embedding": "image.pos_embed",
    "visual.ln_pre": "image.norm_pre",
    **{f"visual.transformer.resblocks.{{}}.{part}": f"image.blocks.{{}}.{name}" for part, name in BLOCK.items()},
    "visual.ln_post": "image.norm",
    "visual.proj": "image.proj.weight",
}

OPENAI_RESNET: dict[str, str | None] = {
    **{f"visual.conv{n}": f"image.stem.conv{n}.conv" for n in (1, 2, 3)},
    **{f"visual.bn{n}": f"image.stem.conv{n}.bn" for n in (1, 2, 3)},
    **{
        f"visual.layer{s + 1}.{{}}.{part}": f"image.stages.{s}.{{}}.{name}"
        for s in range(4)
        for part, name in {
            **{f"conv{n}": f"conv{n}.conv" for n in (1, 2, 3)},
            **{f"bn{n}": f"conv{n}.bn" for n in (1, 2, 3)},
            "downsample.0": "shortcut.conv",
            "downsample.1": "shortcut.bn",
        }.items()
    },
    "visual.attnpool.positional_embedding": "image.pool.pos_embed",
    "visual.attnpool.q_proj": "image.pool.q",
    "visual.attnpool.k_proj": "image.pool.k",
    "visual.attnpool.v_proj": "image.pool.v",
    "visual.attnpool.c_proj": "image.pool.proj",
}

TIMM_RESNET: dict[str, str | None] = {
    "stages.{}.{}.conv1_1x1": "stages.{}.{}.conv1",
    "stages.{}.{}.conv2_kxk": "stages.{}.{}.conv2",
    "stages.{}.{}.conv3_1x1": "stages.{}.{}.conv3",
    "stages.{}.{}.shortcut.conv.conv": "stages.{}.{}.shortcut.conv",
    "stages.{}.{}.shortcut.conv.bn": "stages.{}.{}.shortcut.bn",
    "head": "pool",
}

TRANSPOSED = ("visual.proj", "text_projection")
"""What openai/CLIP stores as (in, out)."""


def from_transformers(state: State, config: Any) -> dict[str, Tensor]:
    """Convert `CLIPModel`, `CLIPVisionModelWithProjection`, `CLIPVisionModel` and `CLIPForImageClassification`."""
    full = {_with_tower(key): tensor for key, tensor in state.items()}
    renamed = rename(full, TRANSFORMERS)
    for tower in TOWERS.values():
        renamed = fuse_qkv(renamed, f"{tower}.blocks.{{}}.attn")
    return _for_class(_with_batch_axis(renamed), config)


def from_openai(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the authors' layout, which is open_clip's too."""
    turned = {key: tensor.T if key in TRANSPOSED else tensor for key, tensor in state.items()}
    table = OPENAI_RESNET if "visual.attnpool.positional_embedding" in state else OPENAI_VIT
    return _for_class(_with_batch_axis(_fuse_pool(rename(turned, OPENAI_TEXT | table), "image.pool")), config)


def from_timm(state: State, config: Any) -> dict[str, Tensor]:
    """Convert timm's vision transformers. Their head is the projection, with a bias of zeros, or a classifier."""
    if not getattr(config, "projection_dim", 0):
        return dict(state)
    bias = state.get("head.bias")
    zeros = bias is not None and (bias.is_meta or not bias.any())
    return rename(state, {"head.weight": "proj.weight"} | ({"head.bias": None} if zeros else {}))


def from_timm_resnet(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert timm's ResNets, whose head is the pool."""
    return _with_batch_axis(_fuse_pool(rename(state, TIMM_RESNET), "pool"))


def _fuse_pool(state: State, pool: str) -> dict[str, Tensor]:
    """Make one projection of the attention pool's key and value."""
    fused = dict(state)
    for kind in ("weight", "bias"):
        fused = fuse(fused, [f"{pool}.{part}.{kind}" for part in "kv"], f"{pool}.kv.{kind}")
    return fused


def _with_tower(key: str) -> str:
    """`CLIPVisionModel` of transformers 5 has no prefix in memory."""
    bare = key.startswith(("embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm."))
    return f"vision_model.{key}" if bare else key


def _with_batch_axis(state: State) -> dict[str, Tensor]:
    """Give tokens and positions the axes that broadcast: (1, 1, D) and (1, N, D)."""
    return {
        key: tensor.reshape(1, -1, tensor.shape[-1]) if key.endswith(("cls_token", "pos_embed")) else tensor
        for key, tensor in state.items()
    }


def _for_class(state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Leave a pair as it is; of a pair's checkpoint, an image tower takes its own part."""
    if isinstance(config, CLIPConfig):
        return state
    texts = ("text.", "logit_scale")
    return {key.removeprefix("image."): tensor for key, tensor in state.items() if not key.startswith(texts)}


FORMATS = {
    "transformers": CheckpointFormat("embeddings.class_embedding", from_transformers),
    "openai": CheckpointFormat("visual.class_embedding", from_openai),
    "openai, ResNet": CheckpointFormat("visual.attnpool.positional_embedding", from_openai),
    "timm": CheckpointFormat("norm_pre.weight", from_timm),
    "timm, ResNet": CheckpointFormat("head.pos_embed", from_timm_resnet),
}
"""Layout -> how to recognise and convert it."""


def class_from_huggingface(described: Mapping[str, Any]) -> str:
    """Return the class: transformers' classifier has the image tower alone, under the model type of the pair."""
    alone = described["model_type"] == "clip_vision_model" or huggingface_classes(described)
    return "CLIPVision" if alone else "CLIP"


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``clip`` and ``clip_vision_model``.

    Raises:
        ConfigError: a value that our models do not have, named.
    """
    if described["model_type"] == "clip_vision_model":
        projected = described.get("architectures") == ["CLIPVisionModelWithProjection"]
        return vision_config(described) if projected else {**vision_config(described), "projection_dim": 0}
    image = vision_config(described["vision_config"])
    if classes := huggingface_classes(described):
        return {**image, "projection_dim": 0, "pool": "mean", "num_classes": classes}
    space = {"projection_dim": described.get("projection_dim", 512)}
    return {"image": {**image, **space}, "text": {**text_config(described["text_config"]), **space}}


def vision_config(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the config of an image tower; what a file does not say is transformers' default."""
    return {
        **transformer_config(described, {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}),
        "image_size": square_side({"image_size": 224, **described}, "image_size"),
        "patch_size": square_side({"patch_size": 32, **described}, "patch_size"),
        "in_channels": described.get("num_channels", 3),
        "projection_dim": described.get("projection_dim", 512),
        "attention_dropout": described.get("attention_dropout", 0.0),
    }


def text_config(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the config of a text tower; what a file does not say is transformers' default."""
    end = described.get("eos_token_id", 49407)
    return {
        **transformer_config(described, {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}),
        "context_length": described.get("max_position_embeddings", 77),
        "vocab_size": described.get("vocab_size", 49408),
        "end_token": None if end == 2 else end,  # 2 was a mistake of old files; transformers then takes the highest
    }


def transformer_config(described: Mapping[str, Any], defaults: Mapping[str, int]) -> dict[str, Any]:
    """Translate what both towers have; files of older versions state only what differs from the defaults."""
    full = {"num_hidden_layers": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, **defaults, **described}
    return {
        "embed_dim": full["hidden_size"],
        "num_layers": full["num_hidden_layers"],
        "num_heads": full["num_attention_heads"],
        "mlp_ratio": full["intermediate_size"] / full["hidden_size"],
        "activation": full["hidden_act"],
        "layer_norm_eps": full["layer_norm_eps"],
    }
