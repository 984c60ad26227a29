"""Checkpoints of ViT in other layouts, and Hugging Face configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.models import plain_vit
from nexus.models.conversion import CheckpointFormat, State, rename, strip_prefix
from nexus.models.cv.vit.model import VisionTransformerConfig

__all__ = ["FORMATS", "config_from_huggingface"]

TRANSFORMERS: dict[str, str | None] = {"decoder": None}  # of MAE's pre-training

TIMM: dict[str, str | None] = {
    "fc_norm": "norm",  # the one norm behind the blocks, where it stands behind the mean
    "pre_logits": None,  # a tanh layer between the class token and the head of pre-training
    # MAE's decoder
    "mask_token": None,
    "decoder_embed": None,
    "decoder_pos_embed": None,
    "decoder_blocks": None,
    "decoder_norm": None,
    "decoder_pred": None,
}
"""timm's names are ours, but for these; they are those of the authors of MAE and I-JEPA too."""


def from_transformers(state: State, _config: VisionTransformerConfig) -> dict[str, Tensor]:
    """Convert `ViTModel`, `ViTMAEModel`, `IJepaModel`, their classifiers and `ViTMAEForPreTraining`."""
    return plain_vit.from_transformers(state, TRANSFORMERS)


def from_flax(state: State, _config: VisionTransformerConfig) -> dict[str, Tensor]:
    """Convert the authors' ``.npz`` files."""
    return plain_vit.from_flax(state)


def from_timm(state: State, _config: VisionTransformerConfig) -> dict[str, Tensor]:
    """Convert timm's layout, which MAE's authors use too, and those of I-JEPA behind ``module.``."""
    return rename(strip_prefix(state, "module."), TIMM)


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "flax": CheckpointFormat("Transformer/posembed_input/pos_embedding", from_flax),
    "timm": CheckpointFormat("patch_embed.proj.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``vit``, ``vit_mae`` and ``ijepa``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    class_token = described["model_type"] != "ijepa"
    pool = "cls" if class_token else "mean"
    return {**plain_vit.config_from_transformers(described), "class_token": class_token, "pool": pool}
