from __future__ import annotations

import pytest
import torch
from torch import nn

from nexus.errors import ConfigError
from nexus.layers import ClassifierHead, HeadConfig, build_head


def test_the_default_is_a_linear_layer() -> None:
    head = build_head(8, 3, HeadConfig())
    assert type(head) is nn.Linear
    assert head.weight.shape == (3, 8)


def test_the_example_of_dinov2_is_a_config() -> None:
    """The classifier that is often shown with DINOv2-S, layer by layer."""
    head = build_head(384, 2, HeadConfig(hidden=(256,)))
    shown = nn.Sequential(nn.Linear(384, 256), nn.ReLU(), nn.Linear(256, 2))
    shown.load_state_dict(head.state_dict())  # the same keys
    x = torch.randn(5, 384)
    torch.testing.assert_close(head(x), shown(x))
    assert isinstance(head, ClassifierHead)
    assert (head.in_features, head.out_features) == (384, 2)


def test_dropout_is_before_the_last_layer_and_for_training() -> None:
    torch.manual_seed(0)
    head, x = build_head(8, 3, HeadConfig(hidden=(16, 4), activation="gelu", dropout=0.5)), torch.randn(2, 8)
    assert [type(layer).__name__ for layer in head] == ["Linear", "GELU", "Linear", "GELU", "Dropout", "Linear"]
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))
    assert isinstance(build_head(8, 3, HeadConfig(dropout=0.5))[0], nn.Dropout)


def test_impossible_heads_are_named() -> None:
    with pytest.raises(ConfigError, match=r"hidden\.0 = 0"):
        HeadConfig.parse({"hidden": (0,)})
