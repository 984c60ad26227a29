"""Swin Transformer: self-attention in windows that shift from block to block, over a pyramid of grids.

Liu et al. 2021, arXiv:2103.14030. Maps are (B, rows, columns, C) throughout, as in section 3.2 of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import Attention, DropPath, Mlp, PatchEmbed, PatchMerging, linear_rates, relative_bias
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SwinTransformer", "SwinTransformerConfig"]


class SwinTransformerConfig(Config):
    """What makes one Swin Transformer; the defaults are Swin-T with a head for ImageNet-1k.

    Attributes:
        image_size: side in pixels at which the windows are laid out: a stage whose grid is then no larger than a
            window has one window as large as that grid, and never shifts it (the authors' code, timm, and transformers
            for V2). None: windows keep their size, and shift wherever the grid at hand is larger than one (transformers
            for V1, torchvision). Both are the same for images of this size.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        embed_dim: channels C of the first stage; each later stage has twice as many.
        depths: blocks in each stage; every second one shifts its windows.
        num_heads: attention heads in each stage.
        window_size: side M of a window in patches.
        mlp_ratio: width of the feed-forward layer over the stage's channels.
        qkv_bias: whether query, key and value have a bias.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt | None = None
    patch_size: PositiveInt = 4
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    embed_dim: PositiveInt = 96
    depths: tuple[PositiveInt, ...] = Field((2, 2, 6, 2), min_length=1)
    num_heads: tuple[PositiveInt, ...] = (3, 6, 12, 24)
    window_size: PositiveInt = 7
    mlp_ratio: PositiveFloat = 4.0
    qkv_bias: bool = True
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _stages_agree(self) -> SwinTransformerConfig:
        if len(self.depths) != len(self.num_heads):
            raise ValueError(f"depths = {self.depths} and num_heads = {self.num_heads} need one value per stage each")
        for width, heads in zip(self.widths, self.num_heads):
            if width % heads:
                raise ValueError(
                    f"embed_dim = {self.embed_dim} makes a stage of {width} channels, no multiple of its {heads} heads"
                )
        if self.image_size is not None and self.image_size < self.patch_size << len(self.depths) - 1:
            raise ValueError(
                f"image_size = {self.image_size} is less than one patch of the last stage, "
                f"{self.patch_size << len(self.depths) - 1} pixels"
            )
        return self

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [self.embed_dim << stage for stage in range(len(self.depths))]


class SwinTransformer(WeightInitMixin, NexusModule):
    """The Swin Transformer, with a linear head over the mean of the last grid.

    Any image size is taken: images are padded to whole patches, and grids to whole windows and to even sides, with
    zeros on the right and below that are not masked, as in transformers (torchvision drops the pixels beyond the last
    whole patch). Where a grid fits into one window on one side only, windows shift on neither side, as with the authors
    and transformers; timm and torchvision shift them on the other side.

    `forward` gives `features`, the map of every block; `pyramid`, the map of every stage, {4, 8, 16, 32}, before any
    norm; `tokens` (B, N, D), the last grid after the final norm; `embeddings` (B, D), their mean; `logits` where there
    is a head; and if asked for `attentions`, (B * windows, heads, M^2, M^2) for every block.
    """

    Config = SwinTransformerConfig

    def __init__(self, config: Mapping[str, Any] | SwinTransformerConfig) -> None:
        super().__init__(config)
        c: SwinTransformerConfig = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.patch_norm = nn.LayerNorm(c.embed_dim)
        self.dropout = nn.Dropout(c.dropout)
        rates = iter(linear_rates(c.drop_path, sum(c.depths)))
        self.stages = nn.ModuleList(
            nn.ModuleList(self.build_block(stage, next(rates)) for _ in range(depth))
            for stage, depth in enumerate(c.depths)
        )
        self.merges = nn.ModuleList(self.build_merge(width) for width in c.widths[:-1])
        self.norm = nn.LayerNorm(c.widths[-1], eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(c.widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        self.init_attention()

    def build_block(self, stage: int, drop_path: float) -> nn.Module:
        """Build one block of a stage."""
        c: SwinTransformerConfig = self.config
        return SwinBlock(
            c.widths[stage],
            self.build_attention(stage),
            self.build_mlp(stage),
            eps=c.layer_norm_eps,
            drop_path=drop_path,
        )

    def build_attention(self, stage: int) -> nn.Module:
        """Build the attention of a block."""
        c: SwinTransformerConfig = self.config
        return WindowAttention(
            c.widths[stage],
            c.num_heads[stage],
            self.window(stage),
            RelativePositions(self.window(stage), c.num_heads[stage]),
            qkv_bias=c.qkv_bias,
            attention_dropout=c.attention_dropout,
            dropout=c.dropout,
        )

    def build_mlp(self, stage: int) -> nn.Module:
        """Build the feed-forward layer of a block."""
        c: SwinTransformerConfig = self.config
        width = c.widths[stage]
        return Mlp(width, int(width * c.mlp_ratio), dropout=c.dropout)

    def build_merge(self, width: int) -> nn.Module:
        """Build what joins a stage of `width` channels to the next one."""
        return PatchMerging(width)

    def init_attention(self) -> None:
        """Initialise what the blocks have beside linear layers and norms, as the authors do."""
        for module in self.modules():
            if isinstance(module, RelativePositions):
                nn.init.trunc_normal_(module.table, std=0.02)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}
        attentions: list[Tensor] = []

        x = self.embed(images)
        for stage, blocks in enumerate(self.stages):
            x = self.merges[stage - 1](x) if stage else x
            plain, shifted = self.layouts(stage, x)
            for index, block in enumerate(blocks.children()):
                x, weights = self.run_block(block, x, shifted if index % 2 else plain, "attentions" in wanted)
                features.append(x.permute(0, 3, 1, 2))
                if weights is not None:
                    attentions.append(weights)
            pyramid[self.config.patch_size << stage] = features[-1]

        tokens = self.norm(x).flatten(1, 2)  # (B, N, D)
        found = {
            "tokens": tokens,
            "embeddings": tokens.mean(1),
            "features": features,
            "pyramid": pyramid,
            "attentions": attentions,
        }
        return self.finish(found, wanted)

    def embed(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b rows columns width"]:
        """Turn images into the map that enters the first block, (B, ceil(H / 4), ceil(W / 4), C)."""
        height, width = images.shape[-2:]
        patch = self.config.patch_size
        if height % patch or width % patch:
            images = F.pad(images, (0, -width % patch, 0, -height % patch))
        x = self.patch_embed(images).permute(0, 2, 3, 1)
        normed: Tensor = self.dropout(self.patch_norm(x))
        return normed

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks in order."""
        return [block for blocks in self.stages for block in blocks.children()]

    def window(self, stage: int) -> int:
        """Return the side M of the windows of a stage, in patches."""
        c: SwinTransformerConfig = self.config
        return c.window_size if c.image_size is None else min(c.window_size, self.side(stage, c.image_size))

    def side(self, stage: int, pixels: int) -> int:
        """Return the side of a stage's grid for a square image."""
        c: SwinTransformerConfig = self.config
        return pixels // c.patch_size >> stage

    def layouts(self, stage: int, x: Float[Tensor, "b rows columns width"]) -> tuple[Windows, Windows]:
        """Return how the blocks of a stage, even and odd ones, cut its map (B, rows, columns, C) into windows."""
        c: SwinTransformerConfig = self.config
        smaller = min(x.shape[1:3]) if c.image_size is None else self.side(stage, c.image_size)
        plain = Windows(self.window(stage), 0, None)
        if smaller <= plain.size:
            return plain, plain
        shift = plain.size // 2
        return plain, Windows(plain.size, shift, shift_mask(x, plain.size, shift))


class Windows(NamedTuple):
    """How a map is cut into windows.

    Attributes:
        size: side M of a window in patches.
        shift: rows and columns by which the windows are moved down and right.
        mask: (windows, 1, M^2, M^2), added to the scores, where windows wrap around; see `shift_mask`.
    """

    size: int
    shift: int
    mask: Tensor | None


class SwinBlock(nn.Module):
    """Pre-norm transformer block whose attention works in windows (equation 3 of the paper).

    Args:
        dim: channels C.
        attn: attention within windows; see `WindowAttention`.
        mlp: feed-forward layer.
        eps: added to the variance by the normalisations.
        drop_path: rate of stochastic depth on both branches.
    """

    def __init__(self, dim: int, attn: nn.Module, mlp: nn.Module, *, eps: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = mlp
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b rows columns c"], windows: Windows, return_weights: bool = False
    ) -> tuple[Float[Tensor, "b rows columns c"], Float[Tensor, "b_windows heads m m"] | None]:
        """Return the map (B, rows, columns, C) and, if asked for, weights (B * windows, heads, M^2, M^2)."""
        mixed, weights = self.attend(self.norm1(x), windows, return_weights)
        x = x + self.drop_path1(mixed)
        x = x + self.drop_path2(self.mlp(self.norm2(x)))
        return x, weights

    def attend(self, x: Tensor, windows: Windows, return_weights: bool) -> tuple[Tensor, Tensor | None]:
        """Cut a map (B, rows, columns, C) into windows, mix the patches of each, and join them again."""
        rows, columns = x.shape[1:3]
        size, shift, mask = windows
        if rows % size or columns % size:
            x = F.pad(x, (0, 0, 0, -columns % size, 0, -rows % size))
        padded = x.shape
        if shift:
            x = x.roll((-shift, -shift), (1, 2))
        mixed, weights = self.attn(cut(x, size), return_weights, mask)
        x = join(mixed, size, padded)
        if shift:
            x = x.roll((shift, shift), (1, 2))
        return x[:, :rows, :columns], weights


class WindowAttention(Attention):
    """Self-attention within windows, biased by relative position (equation 4).

    Args:
        dim: channels C.
        num_heads: number of heads; divides `dim`.
        window: side M of a window.
        positions: gives the bias of every offset between two patches; see `RelativePositions`.
        options: of `nexus.layers.Attention`.
    """

    def __init__(self, dim: int, num_heads: int, window: int, positions: nn.Module, **options: Any) -> None:
        super().__init__(dim, num_heads, **options)
        self.grid = (window, window)
        self.positions = positions

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "n m d"], return_weights: bool = False, mask: Tensor | None = None
    ) -> tuple[Float[Tensor, "n m d"], Float[Tensor, "n heads m m"] | None]:
        """Mix the patches of each window.

        Args:
            x: (B * windows, M^2, C).
            return_weights: also return the attention weights.
            mask: (windows, 1, M^2, M^2), added to the scores of every image's windows.

        Returns:
            Mixed patches (B * windows, M^2, C), and weights (B * windows, heads, M^2, M^2) or None.
        """
        bias = relative_bias(self.positions(), self.grid).to(x.dtype)  # (1, heads, M^2, M^2)
        if mask is not None:
            bias = (bias + mask).repeat(x.shape[0] // mask.shape[0], 1, 1, 1)
        return super().forward(x, return_weights, bias)


class RelativePositions(nn.Module):
    """A learned bias for every offset between two patches of a window.

    Args:
        window: side M of a window.
        num_heads: number of heads.
    """

    def __init__(self, window: int, num_heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, num_heads))

    def forward(self) -> Float[Tensor, "offsets heads"]:
        """Return ((2 M - 1)^2, heads), row-major from the offset (1 - M, 1 - M) on."""
        return self.table


def cut(x: Float[Tensor, "b rows columns c"], size: int) -> Float[Tensor, "n m c"]:
    """Cut a map (B, rows, columns, C) into windows (B * windows, size^2, C)."""
    batch, rows, columns, width = x.shape
    x = x.reshape(batch, rows // size, size, columns // size, size, width).transpose(2, 3)
    return x.reshape(-1, size * size, width)


def join(windows: Float[Tensor, "n m c"], size: int, shape: Sequence[int]) -> Float[Tensor, "b rows columns c"]:
    """Undo `cut`: (B * windows, size^2, C) to a map of the given shape."""
    batch, rows, columns, width = shape
    x = windows.reshape(batch, rows // size, columns // size, size, size, width).transpose(2, 3)
    return x.reshape(batch, rows, columns, width)


def shift_mask(x: Float[Tensor, "b rows columns c"], size: int, shift: int) -> Float[Tensor, "windows 1 m m"]:
    """Keep apart, in windows that a cyclic shift made of several pieces, what is not adjacent (figure 4).

    Args:
        x: the map (B, rows, columns, C) before it is padded.
        size: side M of a window.
        shift: rows and columns by which the map is rolled.

    Returns:
        (windows, 1, M^2, M^2): 0 within a piece and -100, as the authors have it, between two.
    """

    def pieces(side: int) -> Tensor:  # 0 in the windows that are whole, 1 and 2 in the two parts of the last one
        side += -side % size
        place = torch.arange(side, device=x.device)
        return (place >= side - size).to(x.dtype) + (place >= side - shift).to(x.dtype)

    rows, columns = pieces(x.shape[1]), pieces(x.shape[2])
    piece = cut((3 * rows[:, None] + columns)[None, :, :, None], size).squeeze(2)  # (windows, M^2)
    apart = piece[:, None] != piece[:, :, None]
    return (apart * x.new_tensor(-100.0)).unsqueeze(1)
