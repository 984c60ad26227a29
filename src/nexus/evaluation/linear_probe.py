"""Classes by one linear layer on frozen features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus.errors import InputError
from nexus.evaluation.classifier import FeatureClassifier, positive

__all__ = ["LinearProbe"]


class LinearProbe(FeatureClassifier):
    """Multinomial logistic regression, trained to its one optimum by L-BFGS; no learning rate, no random numbers.

    Minimises ``c * sum(cross entropy) + |W|^2 / 2`` (the bias is free), as scikit-learn's LogisticRegression does, on
    features that are first brought to mean 0 and variance 1 per dimension. That scaling is then folded into the
    layer, so `weight` (K, D) and `bias` (K,) apply to raw features: they fit an ``nn.Linear`` as a model's head.

    Args:
        c: the larger, the closer the fit; the smaller, the smoother.
        max_steps: L-BFGS steps at most.

    Raises:
        ConfigError: an argument is not above 0.
        InputError: in `fit`, all examples are of one class.
    """

    kind = "linear_probe"

    def __init__(self, c: float = 1.0, max_steps: int = 1000) -> None:
        super().__init__()
        positive("c", c)
        positive("max_steps", max_steps)
        self.c, self.max_steps = c, max_steps

    def _fit(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        import torch
        import torch.nn.functional as F

        if len(self.classes) < 2:
            raise InputError(f"all examples are of the class {self.classes[0]!r}; at least two classes are needed")
        wide = features.astype(np.float64)
        mean, scale = wide.mean(0), wide.std(0)
        scale[scale < 1e-12] = 1.0  # a dimension that never changes stays 0
        inputs, targets = torch.from_numpy((wide - mean) / scale), torch.from_numpy(labels)
        weight = torch.zeros(len(self.classes), features.shape[1], dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(len(self.classes), dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [weight, bias], max_iter=self.max_steps, history_size=20, line_search_fn="strong_wolfe",
            tolerance_grad=1e-8, tolerance_change=1e-12,
        )  # fmt: skip

        def loss() -> torch.Tensor:
            optimiser.zero_grad()
            # Divided by c N: the same optimum, with a gradient whose size does not depend on the number of examples.
            value = F.cross_entropy(F.linear(inputs, weight, bias), targets)
            value = value + weight.square().sum() / (2 * self.c * len(inputs))
            value.backward()  # type: ignore[no-untyped-call]
            return value

        with torch.enable_grad():
            optimiser.step(loss)  # type: ignore[no-untyped-call]
        fitted = weight.detach().numpy() / scale
        self.weight = fitted.astype(np.float32)
        self.bias = (bias.detach().numpy() - fitted @ mean).astype(np.float32)

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = features.astype(np.float64) @ self.weight.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True), dtype=np.float32)

    def _settings(self) -> dict[str, Any]:
        return {"c": self.c, "max_steps": self.max_steps}

    def _tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"weight": self.weight, "bias": self.bias}

    def _restore(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.weight, self.bias = tensors["weight"], tensors["bias"]
