from __future__ import annotations

import pytest
import torch

from nexus import registry
from nexus.errors import ConfigError
from nexus.models.cv import TinyViT
from nexus.models.cv.tiny_vit.variants import TINY


@pytest.mark.parametrize(("size", "millions"), [("5m", 5.4), ("11m", 11), ("21m", 21)])
def test_sizes_are_those_of_the_paper(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = TinyViT(registry.variant(f"tiny_vit_{size}_224.in1k").config)
        found = model(torch.empty(1, 3, 224, 224))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, rel=0.02)
    assert [level.shape[2] for level in found["pyramid"].values()] == [56, 28, 14, 7]
    assert [level.shape[1] for level in found["pyramid"].values()] == list(model.config.widths)


def test_the_norm_is_behind_the_mean() -> None:
    model = TinyViT(TINY[0]["config"]).eval()
    found = model(torch.randn(2, 3, 40, 33))
    torch.testing.assert_close(found["embeddings"], model.norm(found["tokens"].mean(1)))


def test_only_blocks_with_attention_have_weights() -> None:
    model = TinyViT(TINY[0]["config"]).eval()
    found = model(torch.randn(2, 3, 32, 32), output_attentions=True)
    assert [tuple(weights.shape) for weights in found["attentions"]] == [(2, 2, 16, 16)] * 2 + [(2, 4, 9, 9)]


def test_a_fresh_convolutional_block_adds_nothing() -> None:
    model = TinyViT(TINY[0]["config"]).eval()
    x = torch.randn(1, 8, 6, 6)
    torch.testing.assert_close(model.blocks[0](x)[0], torch.nn.functional.gelu(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (1, 2)}, "depths has 2 stages, widths has 4"),
        ({"num_heads": (1, 5, 12, 18)}, "a width of 192 is not a multiple of its num_heads = 5"),
    ],
)
def test_stages_must_agree(changes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TinyViT(changes)
