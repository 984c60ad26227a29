"""Checkpoints of EVA-02 in other layouts."""

from __future__ import annotations

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, fuse, rename
from nexus.models.cv.eva02.model import EVA02Config

__all__ = ["FORMATS"]

TABLE: dict[str, str | None] = {
    "fc_norm": "norm",
    # the larger models keep query, key and value apart, and the gate from what it gates
    "blocks.{}.attn.q_proj.bias": "blocks.{}.attn.q_bias",
    "blocks.{}.attn.v_proj.bias": "blocks.{}.attn.v_bias",
    "blocks.{}.mlp.fc1_g": "blocks.{}.mlp.w1",
    "blocks.{}.mlp.fc1_x": "blocks.{}.mlp.w2",
    "blocks.{}.mlp.fc1": "blocks.{}.mlp.w12",
    "blocks.{}.mlp.fc2": "blocks.{}.mlp.w3",
    "blocks.{}.mlp.ffn_ln": "blocks.{}.mlp.norm",
    # tables that follow from the image size
    "rope": None,
    "blocks.{}.attn.rope": None,
    # of the pre-training
    "mask_token": None,
    "lm_head": None,
}
"""timm's and the authors' names, which do not contradict each other, -> ours."""


def convert(state: State, _config: EVA02Config) -> dict[str, Tensor]:
    """Convert timm's layout, or that of the authors."""
    ours = fuse(
        rename(state, TABLE),
        [f"blocks.{{}}.attn.{part}_proj.weight" for part in "qkv"],
        "blocks.{}.attn.qkv.weight",
    )
    for kind in ("weight", "bias"):
        ours = fuse(ours, [f"blocks.{{}}.mlp.{part}.{kind}" for part in ("w1", "w2")], f"blocks.{{}}.mlp.w12.{kind}")
    return ours


FORMATS = {
    "timm": CheckpointFormat("blocks.0.mlp.fc2.weight", convert),
    "baai": CheckpointFormat("blocks.0.mlp.w3.weight", convert),
}
"""Layout -> how to recognise and convert it."""
