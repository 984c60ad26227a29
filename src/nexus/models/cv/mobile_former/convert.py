"""From the authors' layout of Mobile-Former to ours."""

from __future__ import annotations

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename, strip_prefix, with_batch_counts
from nexus.models.cv.mobile_former.model import MobileFormerConfig

__all__ = ["FORMATS"]

Table = dict[str, str | None]

BRIDGE = {"q": "q", "alpha.0": "gate", "proj": "proj", "layer_norm": "norm"}
FORMER = {
    "q": "q",
    "channel_mlp": "proj",
    "layer_norm": "norm1",
    "ffn.0": "mlp.fc1",
    "ffn.2": "mlp.fc2",
    "ffn_norm": "norm2",
}
MOBILE = {
    "conv1": "expand",
    "hyper1": "act1",
    "conv2": "depthwise",
    "hyper2": "act2",
    "conv3": "project",
}
DOWN = {
    "conv1": "down",
    "hyper1": "act1",
    "conv2": "narrow",
    "conv3": "depthwise",
    "hyper3": "act2",
    "conv4": "project",
}
"""The authors' parts of Mobile -> ours, where the grid stays and where it gets coarser."""

ENDS: Table = {
    "tokens.weight": "former_tokens",
    "stem.0": "stem.conv",
    "stem.1": "stem.bn",
    **{f"local_global.{theirs}": f"to_former.{ours}" for theirs, ours in BRIDGE.items()},
    "classifier.conv.1": "top.conv",
    "classifier.conv.2": "top.bn",
    "classifier.fc.0": "fc",
    "classifier.fc.1": "fc_bn",
    "classifier.classifier.1": "head",
}


def from_authors(state: State, config: MobileFormerConfig) -> dict[str, Tensor]:
    """Convert the authors' MobileFormer."""
    table = dict(ENDS)
    for number, block in enumerate(config.blocks):
        theirs, ours = f"features.{number}", f"blocks.{number}"
        table |= {f"{theirs}.conv.0": f"{ours}.depthwise.conv", f"{theirs}.conv.1": f"{ours}.depthwise.bn"}
        table |= {f"{theirs}.conv.4": f"{ours}.project.conv", f"{theirs}.conv.5": f"{ours}.project.bn"}
        table |= {f"{theirs}.local_global.{key}": f"{ours}.to_former.{name}" for key, name in BRIDGE.items()}
        table |= {f"{theirs}.global_block.{key}": f"{ours}.former.{name}" for key, name in FORMER.items()}
        table |= {
            f"{theirs}.global_local.k": f"{ours}.to_mobile.k",
            f"{theirs}.global_local.proj": f"{ours}.to_mobile.v",
        }
        for part, name in (DOWN if block.kind == "down" else MOBILE).items():
            layers = {"0": "conv", "1": "bn"} if part.startswith("conv") else {"hyper.0": "fc1", "hyper.2": "fc2"}
            table |= {f"{theirs}.{part}.{key}": f"{ours}.mobile.{name}.{layer}" for key, layer in layers.items()}
    return with_batch_counts(rename(strip_prefix(state, "module."), table))


FORMATS = {"authors": CheckpointFormat("classifier.classifier.1.weight", from_authors)}
"""Layout -> how to recognise and convert it."""
