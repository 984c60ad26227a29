"""Modules that three families or more are built of. They take finished modules, not options for one family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.layers.attention import Attention as Attention
    from nexus.layers.attention import mix_values as mix_values
    from nexus.layers.block import Block as Block
    from nexus.layers.classifier_head import ClassifierHead as ClassifierHead
    from nexus.layers.classifier_head import HeadConfig as HeadConfig
    from nexus.layers.classifier_head import build_head as build_head
    from nexus.layers.conv import Padding as Padding
    from nexus.layers.conv import SameConv2d as SameConv2d
    from nexus.layers.conv import channels_last as channels_last
    from nexus.layers.conv import conv2d as conv2d
    from nexus.layers.conv import conv_bn as conv_bn
    from nexus.layers.conv import lay_out as lay_out
    from nexus.layers.conv import make_divisible as make_divisible
    from nexus.layers.conv import prefers_channels_last as prefers_channels_last
    from nexus.layers.drop_path import DropPath as DropPath
    from nexus.layers.drop_path import linear_rates as linear_rates
    from nexus.layers.drop_path import seed_drop_path as seed_drop_path
    from nexus.layers.drop_path import set_drop_path as set_drop_path
    from nexus.layers.inverted_residual import InvertedResidual as InvertedResidual
    from nexus.layers.inverted_residual import SqueezeExcite as SqueezeExcite
    from nexus.layers.layer_scale import LayerScale as LayerScale
    from nexus.layers.lora import LoRAConfig as LoRAConfig
    from nexus.layers.lora import LoRALinear as LoRALinear
    from nexus.layers.lora import add_lora as add_lora
    from nexus.layers.lora import load_lora as load_lora
    from nexus.layers.lora import lora_state as lora_state
    from nexus.layers.lora import merge_lora as merge_lora
    from nexus.layers.lora import merged_state as merged_state
    from nexus.layers.lora import unmerge_lora as unmerge_lora
    from nexus.layers.mlp import Mlp as Mlp
    from nexus.layers.mlp import QuickGELU as QuickGELU
    from nexus.layers.mlp import SwiGLU as SwiGLU
    from nexus.layers.patch_embed import PatchEmbed as PatchEmbed
    from nexus.layers.patch_embed import as_map as as_map
    from nexus.layers.patch_merging import PatchMerging as PatchMerging
    from nexus.layers.patch_merging import side_by_side as side_by_side
    from nexus.layers.pos_embed import resample_positions as resample_positions
    from nexus.layers.relative_position import relative_bias as relative_bias

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Attention": ".attention",
        "Block": ".block",
        "ClassifierHead": ".classifier_head",
        "DropPath": ".drop_path",
        "HeadConfig": ".classifier_head",
        "InvertedResidual": ".inverted_residual",
        "LayerScale": ".layer_scale",
        "LoRAConfig": ".lora",
        "LoRALinear": ".lora",
        "Mlp": ".mlp",
        "Padding": ".conv",
        "PatchEmbed": ".patch_embed",
        "PatchMerging": ".patch_merging",
        "QuickGELU": ".mlp",
        "SameConv2d": ".conv",
        "SqueezeExcite": ".inverted_residual",
        "SwiGLU": ".mlp",
        "add_lora": ".lora",
        "as_map": ".patch_embed",
        "build_head": ".classifier_head",
        "channels_last": ".conv",
        "conv2d": ".conv",
        "conv_bn": ".conv",
        "lay_out": ".conv",
        "linear_rates": ".drop_path",
        "load_lora": ".lora",
        "lora_state": ".lora",
        "make_divisible": ".conv",
        "merge_lora": ".lora",
        "merged_state": ".lora",
        "mix_values": ".attention",
        "prefers_channels_last": ".conv",
        "relative_bias": ".relative_position",
        "resample_positions": ".pos_embed",
        "seed_drop_path": ".drop_path",
        "set_drop_path": ".drop_path",
        "side_by_side": ".patch_merging",
        "unmerge_lora": ".lora",
    },
)
