"""The graph computes what it did, with fewer nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nexus.engines.openvino import import_openvino, trace
from nexus.engines.openvino_graph import tidy
from nexus.layers.conv import SameConv2d

MAPS = torch.randn(3, 6, 10, 12, generator=torch.Generator().manual_seed(0))


class ChannelsLast(nn.Module):
    """Layers between two transpositions, between two convolutions."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(6, 6, 3), nn.Conv2d(6, 6, 3)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).permute(0, 2, 3, 1)
        for layer in self.layers:
            x = layer(x)
        return self.last(x.permute(0, 3, 1, 2))  # type: ignore[no-any-return]


class Of(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def convert(module: nn.Module) -> Any:
    return trace(import_openvino(), module, MAPS.numpy())


def compute(model: Any) -> np.ndarray:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return import_openvino().Core().compile_model(model, "CPU", settings)([MAPS.numpy()])[0]  # type: ignore[no-any-return]


def kinds(model: Any) -> Counter[str]:
    return Counter(node.get_type_name() for node in model.get_ops())


def check(module: nn.Module) -> Counter[str]:
    """Tidy the module's graph, hold its answers against PyTorch's, and return what it has become."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        expected = module.eval()(MAPS).numpy()
        tidied = tidy(convert(module))
    np.testing.assert_allclose(compute(tidied), expected, rtol=0, atol=1e-4)
    return kinds(tidied)


SCALE = torch.linspace(-1, 2, 6)
MIX = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.LayerNorm(6),),
        (nn.LayerNorm(6), nn.Linear(6, 20), nn.GELU(), nn.Linear(20, 6), Of(lambda x: SCALE * x)),  # ConvNeXt's block
        (nn.Linear(6, 4, bias=False), nn.SiLU(), nn.Linear(4, 6), nn.Sigmoid()),
        (Of(lambda x: x @ MIX), Of(lambda x: 2 - x), Of(lambda x: x / (SCALE + 3))),
    ],
    ids=["norm", "block", "linear", "constants"],
)
def test_layers_between_two_transpositions_work_on_maps(layers: tuple[nn.Module, ...]) -> None:
    left = check(ChannelsLast(*layers))
    assert left["Transpose"] == left["MatMul"] == 0


@pytest.mark.parametrize(
    "layer",
    [
        Of(lambda x: torch.softmax(x, -1)),  # the channels are another axis on the map
        Of(lambda x: x + torch.arange(10.0)[None, None, :, None]),  # a constant per row, not per channel
        Of(lambda x: nn.functional.layer_norm(x, x.shape[-2:])),  # over more than the channels
    ],
    ids=["softmax", "rows", "norm"],
)
def test_others_stay_as_they_are(layer: nn.Module) -> None:
    assert check(ChannelsLast(layer))["Transpose"] == 2


def test_what_is_read_elsewhere_stays_as_it_is() -> None:
    class Branch(ChannelsLast):
        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).permute(0, 2, 3, 1)
            return self.last(torch.relu(x).permute(0, 3, 1, 2)) + x.mean(1).sum()

    assert check(Branch())["Transpose"] == 2


def test_a_part_of_a_map_stays_that_part() -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            _, last = x.chunk(2, dim=1)
            return self.linear(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]

    assert check(Part())["Transpose"] == 0


def test_padding_by_the_size_becomes_a_constant() -> None:
    module = SameConv2d(6, 6, 3, 2)
    assert kinds(convert(module))["FloorMod"] > 0
    assert not check(module).keys() & {"FloorMod", "ShapeOf", "Concat"}


class Attend(nn.Module):
    """Attention of every row of a map, in two heads; called with what PyTorch's attention takes beside its tensors."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.project = nn.Linear(12, 3 * 8)
        self.settings = settings

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.project(x).reshape(-1, 60, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        return nn.functional.scaled_dot_product_attention(query, key, value, **self.settings)


def test_attention_becomes_its_formula_without_a_transposition_of_the_keys() -> None:
    left = check(Attend())
    assert left["ScaledDotProductAttention"] == 0
    assert left["Softmax"] == 1
    assert left["Transpose"] == 1  # that of queries, keys and values together


@pytest.mark.parametrize(
    "settings",
    [{"attn_mask": torch.linspace(-2, 2, 60)[None]}, {"is_causal": True}, {"scale": 0.1}],
    ids=["mask", "causal", "scale"],
)
def test_other_attention_stays_as_it_is(settings: dict[str, Any]) -> None:
    assert check(Attend(**settings))["ScaledDotProductAttention"] == 1
