"""``nexus models``: what can be loaded by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus.commands._verb import verb
from nexus.errors import UnknownNameError, did_you_mean
from nexus.results import ModelCard, ModelList, ModelRow

if TYPE_CHECKING:
    from nexus.registry import Variant

__all__ = ["describe_models", "show_model"]


@verb
def describe_models(pattern: str = "*") -> ModelList:
    """List the models.

    Args:
        pattern: a shell pattern that the names must match, e.g. ``dino*``.

    Returns:
        One row per variant, by name; nothing is built or fetched.

    Raises:
        UnknownNameError: no name matches.
    """
    from nexus import registry

    names = registry.list_models(pattern)
    if not names:
        raise UnknownNameError(f"no model matches {pattern!r}{did_you_mean(pattern, registry.list_models())}")
    return ModelList(models=tuple(_row(registry.variant(name)) for name in names))


@verb
def show_model(name: str) -> ModelCard:
    """Show one model: sizes, sources, licence, how to cite.

    Args:
        name: a variant's name (`nexus models`).

    Returns:
        Its card; the parameters are counted on a model that takes no memory.

    Raises:
        UnknownNameError: no such name; the message has the nearest one.
    """
    import importlib

    import torch

    from nexus import registry

    variant = registry.variant(name)
    with torch.device("meta"):
        model = registry.model_class(variant.class_name)(variant.config)
    family = importlib.import_module(registry.families()[variant.family].package)
    return ModelCard(
        **_row(variant).model_dump(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        config=model.config.to_dict(),
        preprocess=variant.preprocess,
        weights=tuple(variant.weights),
        score=variant.score,
        about=(family.__doc__ or "").strip(),
    )


def _row(variant: Variant) -> ModelRow:
    from nexus.transforms.preprocess import PreprocessSpec

    return ModelRow(
        name=variant.name,
        family=variant.family,
        input_size=PreprocessSpec.parse(variant.preprocess).size,
        labels=variant.labels,
        license=variant.license,
        sources=tuple(source["kind"] for source in variant.weights),
    )
