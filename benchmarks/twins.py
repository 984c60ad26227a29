"""The same network with the same weights in several libraries.

A family's converter turns another library's checkpoint into ours. Here it is run backwards: converting a checkpoint
whose elements are their own numbers shows where in ours each of them belongs.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nexus import registry
from nexus.models.base import NexusModule
from nexus.models.conversion import detect_format
from nexus.models.loading import build_on_meta, load_converted

__all__ = ["Network", "Twin", "random_model", "twins"]

Twin = nn.Module
"""A model of another library: from preprocessed images (B, 3, H, W) to what is compared, (B, C)."""


@dataclass(frozen=True)
class Network:
    """One network, as each library names it.

    Attributes:
        name: what it is called in tables.
        variant: ours.
        timm: timm's.
        transformers: transformers' configuration class, without ``Config``; None: it has no such network.
        described: values of that configuration.
        output: what is compared: ``"logits"``, or ``"embeddings"`` where the model has no classifier.
        trained: with the variant's own weights, of a package; else random ones.
    """

    name: str
    variant: str
    timm: str
    transformers: str | None
    described: Mapping[str, Any] = field(default_factory=dict)
    output: str = "logits"
    trained: bool = False

    @property
    def classes(self) -> int:
        """Number of classes of the head."""
        return 1000 if self.output == "logits" else 0


def random_model(network: Network, images: Tensor, seed: int = 0) -> NexusModule:
    """Build our model with random weights that compute something.

    At their start networks are almost the identity, so norms, biases and LayerScale are drawn at random too. Batch
    norms take the variances of some images, so that nothing grows or vanishes with depth.

    Args:
        network: which.
        images: (B, 3, H, W), preprocessed.
        seed: of the random numbers.
    """
    torch.manual_seed(seed)
    variant = registry.variant(network.variant)
    model: NexusModule = registry.model_class(variant.class_name)(variant.config)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and name.endswith("bias"):
                parameter.normal_(0, 0.02)
            elif parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
        if norms:
            _settle(model, norms, images)
    return model.eval()


def _settle(model: NexusModule, norms: list[nn.BatchNorm2d], images: Tensor) -> None:
    """Let batch norms take the variances that these images give.

    Not the means: most of what a random network computes is the same for all images, and what is left without it is
    rounded far worse than in a trained network (ResNet-50 in bf16: cosine 0.9967; trained, and this way, 0.9999).
    """
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(images, outputs=("embeddings",))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.running_mean.zero_()  # type: ignore[union-attr]
        norm.num_batches_tracked.zero_()  # type: ignore[union-attr]


def twins(network: Network, model: NexusModule, size: tuple[int, int]) -> dict[str, Twin]:
    """Build the network with our weights in each of the libraries that are installed, by name.

    Args:
        network: which.
        model: ours.
        size: (height, width) of the input. timm is built for it, and its position embeddings are resampled once.
    """
    built = {}
    for library, build in {"transformers": _transformers, "timm": _timm}.items():
        if getattr(network, library) is not None and importlib.util.find_spec(library) is not None:
            with suppress(ImportError, RuntimeError):  # a torchvision that does not fit torch breaks timm at its import
                built[library] = build(network, model, size)
    return built


def _transformers(network: Network, model: NexusModule, _size: tuple[int, int]) -> Twin:
    import transformers

    logging.getLogger("transformers").setLevel(logging.ERROR)  # it says that it does without torchvision
    config = getattr(transformers, f"{network.transformers}Config")(**network.described)
    if not network.classes:
        bare = getattr(transformers, f"{network.transformers}Model")(config).eval()
        adopt(bare, model)
        return Answer(bare, lambda outputs: outputs.last_hidden_state[:, 0])
    config.num_labels = network.classes
    classifier = getattr(transformers, f"{network.transformers}ForImageClassification")(config).eval()
    adopt(classifier, model)
    return Answer(classifier, lambda outputs: outputs.logits)


class Answer(nn.Module):
    """A model of transformers that gives one of its outputs."""

    def __init__(self, model: nn.Module, pick: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.model, self.pick = model, pick

    def forward(self, images: Tensor) -> Tensor:
        return self.pick(self.model(images))


def _timm(network: Network, model: NexusModule, size: tuple[int, int]) -> Twin:
    import timm

    resampled = hasattr(model, "positions") and model.config.image_size != size[0]
    options = {"img_size": size[0]} if resampled else {}
    theirs = timm.create_model(network.timm, num_classes=network.classes, **options).eval()
    adopt(theirs, _at_size(model, size) if resampled else model)
    return theirs  # type: ignore[no-any-return]


def _at_size(model: NexusModule, size: tuple[int, int]) -> NexusModule:
    """The same function of images of that size, its position embeddings resampled once and for all."""
    patch = model.config.patch_size
    with torch.no_grad():
        patches = model.positions((size[0] // patch, size[1] // patch))  # type: ignore[operator]
    positions = torch.cat([model.pos_embed[:, :1], patches], dim=1)  # type: ignore[index]
    resized = build_on_meta(type(model).__name__, {**model.config.to_dict(), "image_size": size[0]})
    return resized.load_tensors({**model.state_dict(), "pos_embed": positions}, type(model).__name__)


def adopt(theirs: nn.Module, model: NexusModule) -> None:
    """Give another library's model the weights of ours.

    Raises:
        WeightsError: what it has then does not load as ours.
        AssertionError: it does, but is not the same.
    """
    family = registry.family_of(class_name=type(model).__name__)[0].name
    state = theirs.state_dict()
    numbers, count = dict[str, Tensor](), 1  # 0 is nobody: what a converter makes up comes from nowhere
    for key, tensor in state.items():
        numbers[key] = torch.arange(count, count + tensor.numel()).view(tensor.shape)
        count += tensor.numel()
    formats = registry.converter(family).FORMATS
    source = f"{type(theirs).__module__.partition('.')[0]}'s {type(theirs).__name__}"
    converted = formats[detect_format(numbers, formats, source)].convert(numbers, model.config)
    values = torch.cat([torch.zeros(1), *(tensor.flatten().float() for tensor in state.values())])
    for key, tensor in model.state_dict().items():
        if key in converted:
            values[converted[key].flatten().long()] = tensor.flatten().float()
    for key, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(values[numbers[key]])
    again = load_converted(build_on_meta(type(model).__name__, model.config), theirs.state_dict(), family, source)
    assert again.digest() == model.digest(), f"{source} did not take the weights"
