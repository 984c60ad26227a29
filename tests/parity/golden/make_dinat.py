"""Make the golden files of DiNAT.

    python tests/parity/golden/make_dinat.py CHECKOUT

Needs timm and a checkout of SHI-Labs/Neighborhood-Attention-Transformer; the files here were made with timm 1.0.31, the
checkout at d334f5b and torch 2.13.0. The authors' CUDA extension is stood in for by `Neighborhood`, the definition
written out position by position; all the rest is their code.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from formula import filled, formula_images, shapes_of, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent
SIZES = ((64, 48), (72, 100))

SMALL: dict[str, Any] = {
    "embed_dim": 16,
    "depths": [2, 3],
    "num_heads": [2, 4],
    "mlp_ratio": 2.0,
    "kernel_size": 3,
    "dilations": [[1, 4], [1, 2, 3]],
    "num_classes": 7,
}

NAMES = {
    **{f"dinat_{size}": f"dinat.dinat_{size}" for size in ("mini", "tiny", "small", "base", "large")},
    **{f"dinat_large_384{kernel}": f"dinat.dinat_large_384{kernel}" for kernel in ("", "_11x11")},
    **{f"nat_{size}": f"nat.nat_{size}" for size in ("mini", "tiny", "small", "base")},
}
"""Our variant -> the authors' function."""


class Neighborhood(nn.Module):
    """Dilated neighbourhood attention, one position at a time, in float64: the stand-in for the authors' extension."""

    def __init__(self, dim: int, kernel_size: int, num_heads: int, dilation: int | None = None, **options: Any) -> None:
        super().__init__()
        self.num_heads, self.kernel_size, self.dilation = num_heads, kernel_size, dilation or 1
        self.qkv = nn.Linear(dim, 3 * dim, bias=options["qkv_bias"])
        self.rpb = nn.Parameter(torch.zeros(num_heads, 2 * kernel_size - 1, 2 * kernel_size - 1))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        height, width, window = x.shape[1], x.shape[2], self.kernel_size * self.dilation
        x = nn.functional.pad(x, (0, 0, 0, max(0, window - width), 0, max(0, window - height)))
        batch, rows, columns, dim = x.shape
        query, key, value = self.qkv(x).double().view(batch, rows, columns, 3, self.num_heads, -1).unbind(3)
        mixed = torch.zeros_like(query)
        for row in range(rows):
            for column in range(columns):
                below = neighbours(row, rows, self.kernel_size, self.dilation)
                right = neighbours(column, columns, self.kernel_size, self.dilation)
                for head in range(self.num_heads):
                    scores = torch.stack(
                        [
                            (query[:, row, column, head] * key[:, i, j, head]).sum(-1) / (dim / self.num_heads) ** 0.5
                            + self.rpb[head, self.offset(i - row), self.offset(j - column)].double()
                            for i in below
                            for j in right
                        ]
                    )  # (k * k, B)
                    values = torch.stack([value[:, i, j, head] for i in below for j in right])  # (k * k, B, head_dim)
                    mixed[:, row, column, head] = (scores.softmax(0).unsqueeze(-1) * values).sum(0)
        return self.proj(mixed.flatten(3).float())[:, :height, :width]

    def offset(self, distance: int) -> int:
        """Place of a relative distance in the table of biases."""
        return distance // self.dilation + self.kernel_size - 1


def neighbours(position: int, side: int, kernel_size: int, dilation: int) -> list[int]:
    """The definition: of the positions at a multiple of the dilation, the nearest ones; the earlier half first."""
    reachable = [other for other in range(side) if (other - position) % dilation == 0]
    index = reachable.index(position)
    first = min(max(index - kernel_size // 2, 0), len(reachable) - kernel_size)
    return reachable[first : first + kernel_size]


def main(checkout: Path) -> None:
    from safetensors.torch import save_file

    warnings.simplefilter("ignore")
    sys.path.insert(0, str(checkout / "classification"))
    natten = sys.modules["natten"] = ModuleType("natten")
    natten.NeighborhoodAttention2D = Neighborhood
    authors = {name: importlib.import_module(name) for name in ("nat", "dinat")}
    linspace, torch.linspace = torch.linspace, lambda *args: linspace(*args, device="cpu")  # its items are read

    def full_size(name: str) -> nn.Module:
        module, _, function = NAMES[name].partition(".")
        return getattr(authors[module], function)()

    keys = {name: shapes_of(lambda name=name: full_size(name)) for name in NAMES}
    models = {
        "dinat": filled(authors["nat"].NAT(**SMALL)),
        "scaled": filled(authors["nat"].NAT(layer_scale=1.0, **SMALL)),
    }
    small = {name: shapes_of(lambda model=model: model) for name, model in models.items()}
    write_keys("dinat", {"authors": keys, "small": small})
    outputs = {}
    for name, model in models.items():
        for size in SIZES:
            with torch.no_grad():
                outputs[f"{name}.{size[0]}x{size[1]}"] = model(formula_images(size))
    save_file(outputs, HERE / "dinat_outputs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
