from __future__ import annotations

import pytest
import torch

from nexus import registry
from nexus.errors import ConfigError
from nexus.models.cv import MobileFormer
from nexus.models.cv.mobile_former.variants import TINY_CONFIG


@pytest.mark.parametrize(
    ("size", "millions"),
    [("26m", 3.2), ("52m", 3.5), ("96m", 4.6), ("151m", 7.6), ("214m", 9.4), ("294m", 11.4), ("508m", 14.0)],
)
def test_sizes_are_those_of_the_authors(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = MobileFormer(registry.variant(f"mobile_former_{size}").config)
        found = model.eval()(torch.empty(1, 3, 224, 224))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, rel=0.02)
    assert [level.shape[2] for level in found["pyramid"].values()] == [56, 28, 14, 7]


def test_the_head_reads_the_map_and_the_first_token() -> None:
    model = MobileFormer(TINY_CONFIG).eval()
    found = model(torch.randn(2, 3, 40, 33))
    assert found["embeddings"].shape == (2, 24)
    assert model.fc.in_features == 2 * 12 + 16
    assert [tuple(tokens.shape) for tokens in found["aux"]["prefix_tokens"]] == [(2, 3, 16)] * 4


def test_attentions_are_from_tokens_to_positions() -> None:
    model = MobileFormer(TINY_CONFIG).eval()
    found = model(torch.randn(2, 3, 32, 32), output_attentions=True)
    assert [tuple(weights.shape) for weights in found["attentions"]] == [(2, 2, 3, 256), (2, 2, 3, 64), (2, 2, 3, 64)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token_dim": 18}, "token_dim = 18 is not a multiple of former_heads = 4"),
        ({"stem_width": 9}, "a width of 9 is not a multiple of bridge_heads = 2"),
        ({"stem_width": 6, "groups": 4}, "a width of 6 is not a multiple of groups = 4"),
        (
            {"blocks": ({"kind": "mobile", "width": 8, "expand_ratio": 2, "stride": 2},)},
            "a block of the kind 'mobile' has stride 1, not 2; take 'down'",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MobileFormer({**TINY_CONFIG, **changes})
