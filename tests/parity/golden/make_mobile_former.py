"""Make the golden files of Mobile-Former.

    python tests/parity/golden/make_mobile_former.py CHECKOUT

Needs timm and a checkout of AAboys/MobileFormer; the files here were made with MobileFormer at f447310, timm 1.0.31 and
torch 2.13.0. The authors' files were written to lie inside timm 0.3.4, of which they take three names: here these are
lent to them.

`mobile_former_outputs.safetensors`: what the authors' code answers, for small models. Weights and inputs are not
stored: they follow from keys and shapes (`formula_state`), with a generator whose numbers never change.
`mobile_former_keys.json.gz`: library -> our variant or small model -> key -> shape.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
from pathlib import Path
from typing import Any

import torch
from formula import filled, formula_images, write_keys
from torch import Tensor, nn

HERE = Path(__file__).parent

SIZES = {"even": (64, 64), "odd": (97, 75)}
VARIANTS = [f"mobile_former_{size}" for size in ("26m", "52m", "96m", "151m", "214m", "294m", "508m")]

Row = tuple[str, int, int, int, int]
ROWS: dict[str, tuple[Row, ...]] = {
    "plain": (
        ("lite", 8, 2, 1, 0),
        ("down", 12, 3, 2, 4),
        ("mobile", 12, 3, 1, 4),
        ("down", 16, 2, 2, 3),
        ("mobile", 20, 2, 1, 4),
    ),
    "grouped": (
        ("lite", 12, 3, 2, 0),
        ("mobile", 12, 3, 1, 3),
        ("down", 16, 2, 2, 2),
        ("mobile", 24, 4, 1, 4),
    ),
}
SMALL: dict[str, dict[str, Any]] = {
    "plain": {"stem_width": 8, "num_tokens": 4, "token_dim": 32, "head_width": 40},
    "grouped": {"stem_width": 8, "num_tokens": 3, "token_dim": 16, "head_width": 24, "groups": 4},
}
"""Our configs of the small models, but for the blocks, which are `ROWS`; they have seven classes."""

FORMULA = {"spread": 3.0}


def our_config(name: str) -> dict[str, Any]:
    """The config of a small model."""
    keys = ("kind", "width", "expand_ratio", "stride", "expand_again")
    blocks = tuple({**dict(zip(keys, row)), "expand_again": row[4] or 4} for row in ROWS[name])
    return {**SMALL[name], "blocks": blocks, "num_classes": 7}


def main(checkout: Path) -> None:
    theirs = authors_module(checkout)
    models = {name: quietly(getattr(theirs, name)) for name in VARIANTS}
    small = {name: quietly(small_model, theirs, name) for name in SMALL}
    described = {name: shapes(model) for name, model in (models | small).items()}
    write_keys("mobile_former", {"authors": described})
    write_small_outputs(small)


def authors_module(checkout: Path) -> Any:
    """Import the authors' ``mobile_former.py``, with the names of timm 0.3.4 that it takes."""
    from timm.layers import DropPath

    package = types.ModuleType("authors")
    package.__path__ = [str(checkout)]
    names: dict[str, dict[str, Any]] = {
        "helpers": {"build_model_with_cfg": build, "default_cfg_for_features": dict},
        "registry": {"register_model": lambda function: function},
        "layers": {"DropPath": DropPath},
    }
    sys.modules["authors"] = package
    for module, contents in names.items():
        lent = types.ModuleType(f"authors.{module}")
        vars(lent).update(contents)
        sys.modules[f"authors.{module}"] = lent
    return importlib.import_module("authors.mobile_former")


def build(model: type[nn.Module], _variant: str, _pretrained: bool, default_cfg: Any, **arguments: Any) -> nn.Module:
    """What `build_model_with_cfg` of timm 0.3.4 does without weights."""
    del default_cfg
    return model(**arguments)


def small_model(theirs: Any, name: str) -> nn.Module:
    """One of the authors' models with the sizes of a small one."""
    config = SMALL[name]
    rows = [
        ["DnaBlock" if kind == "mobile" else "DnaBlock3", expand, width, 1, stride, again]
        for kind, width, expand, stride, again in ROWS[name]
    ]
    return theirs._create_mobile_former(
        name,
        block_args=rows,
        stem_chs=config["stem_width"],
        token_num=config["num_tokens"],
        token_dim=config["token_dim"],
        num_features=config["head_width"],
        group_num=config.get("groups", 1),
        num_classes=7,
        gbr_type="attn",
        gbr_dynamic=[True, False, False],
        gbr_ffn=True,
        **theirs.common_model_kwargs,
    )


def quietly(function: Any, *arguments: Any) -> Any:
    """The authors' code prints what it builds."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in model.state_dict().items()}


@torch.no_grad()
def write_small_outputs(models: dict[str, nn.Module]) -> None:
    from safetensors.torch import save_file

    outputs: dict[str, Tensor] = {}
    for name, model in models.items():
        model = filled(model, **FORMULA)
        for label, size in SIZES.items():
            images = formula_images(size)
            outputs[f"{name}.{label}.logits"] = model(images)
            tokens = model.tokens.weight[:, None].expand(-1, len(images), -1)
            x, tokens = model.stem(images), tokens
            for number, block in enumerate(model.features):
                x, tokens = block((x, tokens))
                outputs[f"{name}.{label}.features.{number}"] = x[:, ::4, ::2, ::2].contiguous()
            outputs[f"{name}.{label}.tokens"] = tokens.transpose(0, 1).contiguous()
    save_file(outputs, HERE / "mobile_former_outputs.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
