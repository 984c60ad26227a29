"""Class-token attention and rollout against their definitions, and their picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import attention_rollout, cls_attention, draw_attention


def attentions(layers: int = 3, prefix: int = 1, patches: int = 12) -> list[torch.Tensor]:
    tokens = prefix + patches
    return [torch.rand(2, 4, tokens, tokens).softmax(-1) for _ in range(layers)]


@pytest.mark.parametrize("prefix", [1, 5])
def test_class_attention_is_the_first_row_without_the_prefix(prefix: int) -> None:
    (layer,) = attentions(1, prefix)
    maps = cls_attention(layer, prefix, (3, 4))
    assert maps.shape == (2, 4, 3, 4)
    assert maps[1, 2, 1, 3] == pytest.approx(layer[1, 2, 0, prefix + 7].item())


def test_rollout_equals_the_product_of_full_matrices() -> None:
    layers = attentions(prefix=2)
    product = np.eye(14)[None]
    for layer in layers:
        mixed = 0.5 * layer.mean(1).double().numpy() + 0.5 * np.eye(14)
        product = mixed @ product
    np.testing.assert_allclose(attention_rollout(layers, 2, (3, 4)).reshape(2, -1), product[:, 0, 2:], atol=1e-7)


def test_rollout_of_a_skip_connection_alone_stays_at_the_class_token() -> None:
    assert attention_rollout([np.eye(5)[None, None]] * 3).sum() == 0


def test_the_picture_has_a_column_per_map() -> None:
    maps = cls_attention(attentions(1)[0], grid=(3, 4))[0]
    photo = Image.new("RGB", (400, 300))
    assert draw_attention(photo, maps, side=100).width - draw_attention(photo, maps[:3], side=100).width == 112
    with pytest.raises(InputError, match="1 names"):
        draw_attention(photo, maps, names=["one"])


def test_wrong_input_is_named() -> None:
    with pytest.raises(InputError, match="images, heads"):
        cls_attention(np.zeros((2, 5, 4)))
    with pytest.raises(InputError, match="prefix=0"):
        cls_attention(np.zeros((1, 1, 5, 5)), prefix=0)
    with pytest.raises(InputError, match="do not fill"):
        cls_attention(np.zeros((1, 1, 4, 4)))
    with pytest.raises(InputError, match="at least one layer"):
        attention_rollout([])
