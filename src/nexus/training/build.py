"""The model that a run begins with: built or loaded, with a head for the classes at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nexus import registry
from nexus.config import Config
from nexus.errors import ConfigError
from nexus.layers.classifier_head import HeadConfig, build_head
from nexus.layers.lora import add_lora
from nexus.models.base import NexusModule
from nexus.training.config import TrainConfig
from nexus.training.freezing import freeze
from nexus.transforms.preprocess import PreprocessSpec

__all__ = ["fresh_model", "prepare", "set_head"]


def fresh_model(source: str | NexusModule, changes: Mapping[str, Any], seed: int) -> NexusModule:
    """Build a model with random weights.

    Args:
        source: a variant's name, whose config and preprocess spec are taken; or a module, of which the same is taken.
        changes: values of the model's config to change.
        seed: of the weights.

    Raises:
        UnknownNameError: no such variant.
        ConfigError: a key or value that the model's config has not.
    """
    if isinstance(source, NexusModule):
        model_class, config, spec = type(source), plain(source.config), source.preprocess
    else:
        variant = registry.variant(source)
        model_class, config = registry.model_class(variant.class_name), dict(variant.config)
        spec = PreprocessSpec.parse(variant.preprocess)
    torch.manual_seed(seed)
    model: NexusModule = model_class({**config, **changes})
    model.preprocess = spec
    return model


def prepare(model: NexusModule, classes: tuple[str, ...], config: TrainConfig, *, size: int | None) -> NexusModule:
    """Make a model ready to be trained on some classes.

    Args:
        model: as loaded or built.
        classes: names, in the order of the logits.
        config: its `model`, `drop_path`, `head`, `lora`, `freeze` and `seed` are read here.
        size: side of its input in pixels; None: as its preprocess spec says.

    Returns:
        The model itself, or one of its class with the same weights and the changed config.

    Raises:
        ConfigError: the model has no place for a head, or the config cannot be changed so.
    """
    model = changed(model, config)
    if size is not None:
        model.preprocess = model.preprocess.at(size)
    if model.labels != classes or isinstance(getattr(model, "head", None), nn.Identity):
        torch.manual_seed(config.seed)
        set_head(model, classes, config.head)
    # These are no longer, or not yet, the weights that the name stands for.
    model.variant = None
    if config.lora is not None:
        add_lora(model, config.lora)
    freeze(model, config.freeze)
    return model


def set_head(model: NexusModule, classes: tuple[str, ...], config: HeadConfig | None = None) -> None:
    """Give a model a new classifier head on what its head reads.

    Raises:
        ConfigError: the model compares pictures with texts, and has no head.
    """
    if not hasattr(model, "head"):
        raise ConfigError(
            f"{model.variant or type(model).__name__} has no classifier head to train; take a model of pictures alone, "
            "e.g. its image tower (`nexus models` lists them)"
        )
    model.head = build_head(embedding_width(model), len(classes), config or HeadConfig.parse({}))
    model.labels = classes


@torch.inference_mode()
def embedding_width(model: NexusModule) -> int:
    """Return how many numbers a model's head reads, by showing it a black picture."""
    training = model.training
    parameter = next(model.parameters())
    black = torch.zeros(1, 3, *model.preprocess.size, device=parameter.device, dtype=parameter.dtype)
    width = model.eval()(black, outputs=("embeddings",))["embeddings"].shape[-1]
    model.train(training)
    return int(width)


def changed(model: NexusModule, config: TrainConfig) -> NexusModule:
    """Return a model with the same weights and another config; what the config cannot say is left as it is."""
    own = plain(model.config)
    wanted = dict(config.model)
    if config.drop_path is not None and "drop_path" in own:
        wanted.setdefault("drop_path", config.drop_path)
    wanted = {key: value for key, value in wanted.items() if key not in own or own[key] != value}
    if not wanted:
        return model
    head, rebuilt = model.head, type(model)({**own, **wanted})
    if isinstance(head, nn.Linear):  # perhaps replaced since the model was built
        rebuilt.head = nn.Linear(head.in_features, head.out_features)
    else:
        rebuilt.head = head
    rebuilt.load_tensors(model.state_dict(), type(model).__name__)
    rebuilt.preprocess, rebuilt.labels, rebuilt.variant = model.preprocess, model.labels, model.variant
    return rebuilt


def plain(config: Any) -> dict[str, Any]:
    """Return a model's config as a dict."""
    return config.to_dict() if isinstance(config, Config) else dict(config)
