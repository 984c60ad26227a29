"""What turns embeddings into logits: a linear layer, or a small network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt
from torch import nn

from nexus.config import Config

__all__ = ["ClassifierHead", "HeadConfig", "build_head"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


class HeadConfig(Config):
    """What a model's head is made of; the default is one linear layer.

    ``hidden=(256,)`` on the 384 numbers of DINOv2-S is the classifier ``Linear(384, 256)``, ``ReLU``,
    ``Linear(256, classes)`` of the example that is often shown with DINOv2.

    Attributes:
        hidden: widths of the layers between the embeddings and the logits.
        activation: behind each of them.
        dropout: rate before the last layer, in training.
    """

    hidden: tuple[PositiveInt, ...] = ()
    activation: Literal["relu", "gelu", "silu", "tanh"] = "relu"
    dropout: float = Field(0.0, ge=0, lt=1)


class ClassifierHead(nn.Sequential):
    """Linear layers with an activation between them and dropout before the last. (..., inputs) -> (..., classes).

    Args:
        inputs: width of the embeddings.
        classes: number of logits.
        config: see `HeadConfig`; saved with the model.
    """

    def __init__(self, inputs: int, classes: int, config: HeadConfig) -> None:
        layers: list[nn.Module] = []
        width = inputs
        for hidden in config.hidden:
            layers += [nn.Linear(width, hidden), ACTIVATIONS[config.activation]()]
            width = hidden
        if config.dropout:
            layers.append(nn.Dropout(config.dropout))
        super().__init__(*layers, nn.Linear(width, classes))
        self.config, self.in_features, self.out_features = config, inputs, classes


def build_head(inputs: int, classes: int, config: HeadConfig) -> nn.Linear | ClassifierHead:
    """Return a head for a model: set it as ``model.head``, and `save_pretrained` and `nexus.load` keep it.

    Args:
        inputs: width of the embeddings.
        classes: number of logits.
        config: see `HeadConfig`; what it says by default is a plain ``nn.Linear``.
    """
    return (
        nn.Linear(inputs, classes)
        if not config.hidden and not config.dropout
        else ClassifierHead(inputs, classes, config)
    )
