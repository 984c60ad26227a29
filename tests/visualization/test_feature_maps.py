from __future__ import annotations

import numpy as np
import pytest
import torch

from nexus.errors import InputError
from nexus.visualization import plot_attention_maps, visualize_feature_maps


def test_the_channels_that_vary_most_are_drawn() -> None:
    features = torch.zeros(1, 6, 4, 4)
    features[0, 4, 0, 0] = 9.0
    page = np.asarray(visualize_feature_maps(features, most=1, columns=1, side=40))
    light = (page == page.reshape(-1, 3)[page.reshape(-1, 3).sum(1).argmax()]).all(-1)
    assert page.shape[2] == 3
    assert light.any()


def test_the_size_follows_the_number_of_channels() -> None:
    few = visualize_feature_maps(torch.randn(1, 8, 5, 7), most=4)
    many = visualize_feature_maps(torch.randn(1, 8, 5, 7), most=8)
    assert few.width == many.width
    assert many.height > few.height


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(InputError, match=r"got the shape \(2, 3\)"):
        visualize_feature_maps(torch.zeros(2, 3))


def test_attention_of_the_last_layers() -> None:
    attention = torch.rand(2, 3, 1 + 6, 1 + 6).softmax(-1)
    outputs = {"attentions": [attention] * 5, "features": [torch.zeros(2, 8, 2, 3)] * 5}
    one, four = plot_attention_maps(outputs, 1), plot_attention_maps(outputs, 4)
    assert four.height > 3 * (one.height - 120)
    with pytest.raises(InputError, match=r"num_layers=6 must be 1\.\.5"):
        plot_attention_maps(outputs, 6)
    with pytest.raises(InputError, match="output_attentions=True"):
        plot_attention_maps({"features": outputs["features"]})
