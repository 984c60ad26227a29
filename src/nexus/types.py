"""Names of everything that goes into and comes out of a model. One name has one meaning in every family.

Shapes: B images, H x W pixels, N patch (or grid) positions in row-major order, D channels, Q queries, P prefix tokens,
K classes or texts, T tokens of a text, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OUTPUT_KEYS", "Aux", "ModelInput", "ModelOutput"]


class ModelInput(TypedDict, total=False):
    """What a model may be called with. `images` is the first positional argument of every model."""

    images: Tensor  # (B, 3, H, W) float, already preprocessed
    sizes: Tensor  # (B, 2) int, valid height and width inside padded images
    input_ids: Tensor  # (K, T) int, the tokens of K texts
    attention_mask: Tensor  # (K, T) 1 = real token
    points: Tensor  # (B, Q, 2) xy in pixels of `images`
    point_labels: Tensor  # (B, Q) 1 = inside, 0 = outside
    boxes: Tensor  # (B, Q, 4) xyxy in pixels of `images`
    masks: Tensor  # (B, 1, h, w) prompt masks, logits
    patch_mask: Tensor  # (B, N) bool, True where a mask token stands for the patch
    clip: Tensor  # (B, T, 3, H, W) video
    targets: list[dict[str, Tensor]]  # only where proposals or denoising queries are sampled from them


class Aux(TypedDict, total=False):
    """Further outputs, documented by the family that gives them."""

    prefix_tokens: list[Tensor]  # L x (B, P, D) class and register tokens after each block, before the final norm
    registers: Tensor  # (B, R, D) register tokens after the final norm
    aux_logits: list[Tensor]  # (B, K) of each auxiliary classifier, first to last; in training only
    token_logits: list[Tensor]  # (B, K) of the class token and of the distillation token; in training only
    visual_tokens: Tensor  # (B, M, W) tokens for a language model of width W


class ModelOutput(TypedDict, total=False):
    """What a model returns: a dict with these keys, each only where the model has it."""

    logits: Tensor  # (B, K) before softmax; of a model called with texts: image against text
    embeddings: Tensor  # (B, D) one vector per image: what a classifier head reads
    text_embeddings: Tensor  # (K, D) one vector per text, in the space of `embeddings`
    tokens: Tensor  # (B, N, D) final, normalised patch tokens without class or register tokens; a CNN's final grid
    features: list[Tensor]  # L x (B, C, H, W) raw output of each block, in order
    pyramid: dict[int, Tensor]  # stride -> (B, C, H / stride, W / stride), finest first; for detectors and segmenters
    attentions: list[Tensor]  # L x (B, heads, P + N, P + N), rows sum to 1; with output_attentions=True
    boxes: Tensor  # (B, Q, 4) xyxy in pixels of `images`
    scores: Tensor  # (B, Q) 0..1
    labels: Tensor  # (B, Q) int
    masks: Tensor  # (B, Q, h, w) logits
    keypoints: Tensor  # (B, Q, J, 3) x, y, score
    depth: Tensor  # (B, H, W)
    aux: Aux


OUTPUT_KEYS: tuple[str, ...] = tuple(ModelOutput.__annotations__)
"""The keys of `ModelOutput`, in the order above."""
