"""`ImageTextModule`: two towers, one for images and one for texts, that map into one space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nexus.models.base import NexusModule
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["ImageTextModule"]


class ImageTextModule(NexusModule):
    """Base of models that compare images with texts.

    Without texts, such a model is its image tower: it gives the same outputs. With K texts it also gives
    `text_embeddings` (K, D) and, as `logits` (B, K), how well each text goes with each image. It has no `head`. A
    family builds `image` and `logit_scale`, and writes `encode_text`.

    Attributes:
        image: the image tower; its `embeddings` (B, D) are in the space of the texts' and not normalised.
        logit_scale: () the logarithm of what cosines are multiplied by.
        context_length: tokens T that a text has at most.
        lowercase: whether texts are lower-cased before the model's tokenizer, whose file may not say so.
    """

    lowercase: ClassVar[bool] = False
    image: NexusModule
    logit_scale: nn.Parameter

    @property
    def blocks(self) -> Iterable[nn.Module]:
        """The blocks of the image tower, in order."""
        return self.image.blocks

    @property
    def context_length(self) -> int:
        """Tokens that a text has at most."""
        return int(self.config.text.context_length)

    def forward(
        self,
        images: Float[Tensor, "b c h w"],
        input_ids: Int[Tensor, "k t"] | None = None,
        attention_mask: Int[Tensor, "k t"] | None = None,
        *,
        outputs: Sequence[str] | None = None,
        output_attentions: bool = False,
    ) -> ModelOutput:
        """Encode images, and texts beside them.

        Args:
            images: (B, 3, H, W), preprocessed.
            input_ids: (K, T), what `tokenizer` makes of K texts; None: only the images.
            attention_mask: (K, T), 1 where a token is real; see `encode_text`.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block of the image tower.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        needed = wanted - {"text_embeddings", "logits"}
        if "logits" in wanted:
            needed |= {"embeddings"}
        found: dict[str, Any] = dict(self.image(images, outputs=tuple(needed))) if needed else {}
        if input_ids is not None and not wanted.isdisjoint({"text_embeddings", "logits"}):
            found["text_embeddings"] = self.encode_text(input_ids, attention_mask)
        if input_ids is not None and "logits" in wanted:
            found["logits"] = self.similarity(found["embeddings"], found["text_embeddings"])
        return {key: value for key, value in found.items() if key in wanted}  # type: ignore[return-value]

    def encode_text(
        self, input_ids: Int[Tensor, "k t"], attention_mask: Int[Tensor, "k t"] | None = None
    ) -> Float[Tensor, "k d"]:
        """Encode texts.

        Args:
            input_ids: (K, T), at most `context_length` tokens each.
            attention_mask: (K, T), 1 where a token is real; None: what the family was trained with.

        Returns:
            (K, D), in the space of the images' `embeddings`, not normalised.

        Raises:
            InputError: more tokens than the model has positions.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it encodes texts")

    def similarity(
        self, image_embeddings: Float[Tensor, "b d"], text_embeddings: Float[Tensor, "k d"]
    ) -> Float[Tensor, "b k"]:
        """Return the logits (B, K) of B images (B, D) against K texts (K, D): scaled cosines."""
        cosines = F.normalize(image_embeddings, dim=-1) @ F.normalize(text_embeddings, dim=-1).T
        return self.logit_scale.exp() * cosines

    def probabilities(self, logits: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """Return how probable each text is for an image, among the K texts given: each row sums to 1."""
        return torch.softmax(logits, dim=-1)
