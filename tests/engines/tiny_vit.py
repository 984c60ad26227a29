"""A tiny vision transformer with every kind of output; it stands for any family, so that these tests depend on none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nexus.models.base import NexusModule
from nexus.transforms.preprocess import PreprocessSpec
from nexus.types import ModelOutput

SIZE = 32


class TinyBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
        x = x + self.proj(attended)
        return x + self.mlp(self.norm2(x))


class TinyViT(NexusModule):
    """A vision transformer of two blocks."""

    def __init__(self, num_classes: int = 0, dim: int = 32) -> None:
        super().__init__({"num_classes": num_classes, "dim": dim})
        self.patch = nn.Conv2d(3, dim, 8, 8)
        self.cls = nn.Parameter(0.1 * torch.randn(1, 1, dim))
        self.pos = nn.Parameter(0.1 * torch.randn(1, 1 + (SIZE // 8) ** 2, dim))
        self.layers = nn.ModuleList(TinyBlock(dim, 4) for _ in range(2))
        self.norm = nn.LayerNorm(dim)
        self.head: nn.Module = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        self.preprocess = PreprocessSpec(resize=SIZE, crop=(SIZE, SIZE))
        self.labels = tuple(f"class {i}" for i in range(num_classes)) or None

    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    def forward(
        self, images: Tensor, *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        wanted = self.wanted(outputs, output_attentions)
        grid = self.patch(images)
        x = torch.cat([self.cls.expand(images.shape[0], -1, -1), grid.flatten(2).transpose(1, 2)], 1) + self.pos
        features, prefix = [], []
        for layer in self.layers:
            x = layer(x)
            features.append(x[:, 1:].transpose(1, 2).reshape(grid.shape))
            prefix.append(x[:, :1])
        x = self.norm(x)
        found = {
            "embeddings": x[:, 0],
            "tokens": x[:, 1:],
            "features": features,
            "pyramid": {8: x[:, 1:].transpose(1, 2).reshape(grid.shape)},
            "aux": {"prefix_tokens": prefix},
        }
        return self.finish(found, wanted)
