from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nexus.errors import InputError
from nexus.layers import (
    Attention,
    Block,
    DropPath,
    InvertedResidual,
    LayerScale,
    Mlp,
    PatchEmbed,
    SqueezeExcite,
    SwiGLU,
    as_map,
    channels_last,
    conv2d,
    lay_out,
    linear_rates,
    resample_positions,
)


@pytest.mark.parametrize("qkv_bias", [True, False])
def test_attention_is_the_formula_head_by_head(qkv_bias: bool) -> None:
    """Derived: softmax(Q K^T / sqrt(d)) V for every head, in float64, without any of torch's attention."""
    layer, x = Attention(12, 3, qkv_bias=qkv_bias).double(), torch.randn(2, 5, 12).double()
    query, key, value = layer.qkv(x).split(12, dim=-1)
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        scores = torch.einsum("bid,bjd->bij", query[..., part], key[..., part]) / math.sqrt(4)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        heads.append((weights @ value[..., part], weights))
    expected = layer.proj(torch.cat([mixed for mixed, _ in heads], dim=-1))
    fused, nothing = layer(x)
    mixed, open_weights = layer(x, True)
    assert nothing is None
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(open_weights, torch.stack([weights for _, weights in heads], dim=1))


@pytest.mark.parametrize("return_weights", [False, True])
def test_a_masked_token_is_not_seen(return_weights: bool) -> None:
    parts = (nn.LayerNorm(8), Attention(8, 2), nn.LayerNorm(8), Mlp(8, 16))
    block, x = Block(*parts), torch.randn(2, 5, 8)
    mask = torch.zeros(2, 1, 1, 5)
    mask[0, ..., 3:] = -math.inf
    found, weights = block(x, return_weights, mask)
    torch.testing.assert_close(found[0, :3], block(x[:1, :3])[0][0])
    torch.testing.assert_close(found[1], block(x)[0][1])
    assert weights is None or not weights[0, ..., 3:].any()


@pytest.mark.parametrize("return_weights", [False, True])
def test_attention_dropout_is_for_training(return_weights: bool) -> None:
    layer, x = Attention(8, 2, attention_dropout=0.5), torch.randn(1, 6, 8)
    assert not torch.equal(layer(x, return_weights)[0], layer(x, return_weights)[0])
    layer.eval()
    assert torch.equal(layer(x, return_weights)[0], layer(x, return_weights)[0])


def test_mlp_and_swiglu_are_their_formulas() -> None:
    x = torch.randn(3, 6).double()
    mlp = Mlp(6, 10).double()
    hidden = mlp.fc1(x)
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    torch.testing.assert_close(mlp(x), mlp.fc2(gelu))
    squashed = Mlp(6, 10, act=nn.Tanh()).double()
    torch.testing.assert_close(squashed(x), squashed.fc2(squashed.fc1(x).tanh()))
    swiglu = SwiGLU(6, 4).double()
    gate, value = swiglu.w12(x)[:, :4], swiglu.w12(x)[:, 4:]
    torch.testing.assert_close(swiglu(x), swiglu.w3(gate * torch.sigmoid(gate) * value))


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    layer, x = DropPath(0.25), torch.ones(20_000, 2, 3)
    dropped = layer(x)
    samples = dropped.flatten(1)
    assert torch.equal(samples.amin(1), samples.amax(1))
    assert sorted(set(samples[:, 0].tolist())) == pytest.approx([0, 1 / 0.75])
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert layer.eval()(x) is x
    assert "rate=0.25" in repr(layer)


def test_rates_grow_linearly() -> None:
    assert linear_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert linear_rates(0.3, 1) == [0]


def test_block_adds_scaled_branches() -> None:
    parts = (nn.LayerNorm(8), Attention(8, 2), nn.LayerNorm(8), Mlp(8, 16))
    x = torch.randn(2, 5, 8)
    plain, scaled = Block(*parts), Block(*parts, ls1=LayerScale(8, 0.5), ls2=LayerScale(8, 0.0))
    norm1, attention, norm2, mlp = parts
    middle = x + attention(norm1(x))[0]
    torch.testing.assert_close(plain(x)[0], middle + mlp(norm2(middle)))
    torch.testing.assert_close(scaled(x)[0], x + 0.5 * attention(norm1(x))[0])
    assert {key for key in scaled.state_dict() if key.startswith("ls")} == {"ls1.gamma", "ls2.gamma"}
    assert not {key for key in plain.state_dict() if key.startswith("ls")}


def test_patches_are_linear_maps_in_row_major_order() -> None:
    layer, images = PatchEmbed(3, 5, 4), torch.randn(2, 3, 8, 12)
    tokens = layer(images).flatten(2).transpose(1, 2)
    for index, (row, column) in enumerate((row, column) for row in range(2) for column in range(3)):
        patch = images[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
        torch.testing.assert_close(tokens[:, index], patch @ layer.proj.weight.flatten(1).T + layer.proj.bias)
    assert torch.equal(as_map(tokens, (2, 3)), layer(images))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 1, 8, 8), r"images have the shape \(2, 1, 8, 8\), not \(batch, 3, height, width\)"),
        ((3, 8, 8), r"images have the shape \(3, 8, 8\), not \(batch, 3, height, width\)"),
        (
            (2, 3, 8, 10),
            "images are 8x10 pixels; both sides must be multiples of the patch size, 4: resize or crop them, e.g. to 8",
        ),
    ],
)
def test_wrong_images_are_named(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PatchEmbed(3, 5, 4)(torch.zeros(shape))


def test_positions_keep_type_and_stored_grid() -> None:
    positions = torch.randn(1, 16, 6)
    assert resample_positions(positions, (4, 4), scale_offset=0.1) is positions
    assert resample_positions(positions.bfloat16(), (2, 5)).dtype == torch.bfloat16
    torch.testing.assert_close(resample_positions(torch.full((1, 16, 6), 2.0), (7, 3)), torch.full((1, 21, 6), 2.0))
    rows = torch.arange(16.0).repeat_interleave(16).reshape(1, 256, 1)  # row-major: changes from row to row only
    resampled = resample_positions(rows, (8, 5)).reshape(8, 5)
    assert (resampled.diff(dim=0) > 1).all()
    assert resampled.diff(dim=1).abs().max() < 1e-5


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_a_single_column_of_positions_is_a_single_row_turned(rows: int, mode: Literal["bicubic", "bilinear"]) -> None:
    table = torch.randn(4, 4, 6)
    column, row = (
        resample_positions(square.reshape(1, 16, 6), grid, mode=mode, antialias=True)
        for square, grid in ((table, (rows, 1)), (table.transpose(0, 1), (1, rows)))
    )
    torch.testing.assert_close(column, row)


@pytest.mark.parametrize("size", [(5, 8), (6, 9), (7, 7), (2, 3)])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@torch.no_grad()
def test_same_padding_is_tensorflows(kernel: int, size: tuple[int, int]) -> None:
    """Each output is the sum over the window that starts `total // 2` before its pixel, zero outside the picture."""
    conv = conv2d(1, 1, kernel, stride=2, padding="same")
    x = torch.randn(1, 1, *size)
    outputs = [math.ceil(side / 2) for side in size]
    starts = [max((output - 1) * 2 + kernel - side, 0) // 2 for output, side in zip(outputs, size)]
    padded = F.pad(x, (kernel,) * 4)
    expected = torch.empty(1, 1, *outputs)
    for row in range(outputs[0]):
        for column in range(outputs[1]):
            top, left = kernel + 2 * row - starts[0], kernel + 2 * column - starts[1]
            window = padded[0, 0, top : top + kernel, left : left + kernel]
            expected[0, 0, row, column] = (window * conv.weight[0, 0]).sum()
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)


def test_fixed_padding_is_that_of_even_sizes() -> None:
    fixed, same = conv2d(2, 3, 5, stride=2, padding="fixed"), conv2d(2, 3, 5, stride=2, padding="same")
    same.load_state_dict(fixed.state_dict())
    even, odd = torch.randn(1, 2, 8, 6), torch.randn(1, 2, 7, 6)
    assert torch.equal(fixed(even), same(even))
    assert fixed(odd).shape == (1, 3, 3, 3)
    assert same(odd).shape == (1, 3, 4, 3)


def test_inverted_residual_adds_its_branch() -> None:
    expand, depthwise, project = conv2d(4, 8, 1), conv2d(8, 8, 3, groups=8), conv2d(8, 4, 1)
    squeeze = SqueezeExcite(8, 2, nn.ReLU(), nn.Hardsigmoid())
    x = torch.randn(2, 4, 6, 5)
    hidden = depthwise(expand(x))
    mean = hidden.mean((2, 3), keepdim=True)
    weights = (squeeze.expand(squeeze.reduce(mean).clamp(min=0)) / 6 + 0.5).clamp(0, 1)
    parts = {"expand": expand, "depthwise": depthwise, "project": project}
    added = InvertedResidual(**parts, squeeze_excite=squeeze, stride=1, residual=True)
    torch.testing.assert_close(added(x), x + project(hidden * weights))
    plain = InvertedResidual(**parts, stride=1, residual=False)
    torch.testing.assert_close(plain(x), project(hidden))


def test_kernels_lie_channels_last_where_convolutions_overlap() -> None:
    overlapping, patches = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(3, 8, 4, stride=4)
    for module, wanted, fastest in (
        (overlapping, None, torch.channels_last),
        (patches, None, torch.contiguous_format),
        (overlapping, False, torch.contiguous_format),
        (patches, True, torch.channels_last),
    ):
        lay_out(nn.Sequential(module), wanted)
        assert module.weight.is_contiguous(memory_format=fastest)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(channels_last(images), images)
    assert overlapping(channels_last(images)).is_contiguous(memory_format=torch.channels_last)
