"""Small transformers models with weights that a fresh model does not have, and their comparison with ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nexus.models.base import NexusModule
from nexus.models.loading import load_model


def randomised(model: nn.Module) -> Any:
    """Make every parameter matter: fresh models have zeros and ones where trained ones have not."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 or "token" in name or "position" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return model.eval()


def through_folder(theirs: Any, folder: Path, **saving: Any) -> NexusModule:
    """Save with transformers, load with nexus."""
    theirs.save_pretrained(folder, **saving)
    return load_model(folder)


def assert_equal_encoders(model: NexusModule, theirs: Any, images: Tensor, prefix: int, **call: Any) -> None:
    """Compare all that both give, to 1e-5: final tokens, every block's output and attention weights."""
    expected = theirs(images, output_hidden_states=True, output_attentions=True, **call)
    found = model(images, output_attentions=True)

    def close(a: Tensor, b: Tensor) -> None:
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)

    close(found["tokens"], expected.last_hidden_state[:, prefix:])
    close(found["embeddings"], expected.last_hidden_state[:, 0])
    assert len(found["features"]) == len(expected.hidden_states) - 1  # theirs begin with the embeddings
    for ours, prefix_tokens, state in zip(
        found["features"], found["aux"]["prefix_tokens"], expected.hidden_states[1:], strict=True
    ):
        close(ours.flatten(2).transpose(1, 2), state[:, prefix:])
        close(prefix_tokens, state[:, :prefix])
    for ours, weights in zip(found["attentions"], expected.attentions, strict=True):
        close(ours, weights)
