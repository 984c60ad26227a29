"""Classes by one linear layer on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nexus.errors import InputError
from nexus.evaluation.classifier import FeatureClassifier, positive

if TYPE_CHECKING:
    import torch

__all__ = ["LinearProbe"]


class LinearProbe(FeatureClassifier):
    """Multinomial logistic regression, trained to its one optimum by Newton's method: no rate, no random numbers.

    Minimises ``c * sum(cross entropy) + |W|^2 / 2`` (the bias is free), as scikit-learn's LogisticRegression does, on
    features that are first brought to mean 0 and variance 1 per dimension. That scaling is then folded into the
    layer, so `weight` (K, D) and `bias` (K,) apply to raw features: they fit an ``nn.Linear`` as a model's head.

    Args:
        c: the larger, the closer the fit; the smaller, the smoother.
        max_steps: Newton steps at most; about ten are needed.

    Raises:
        ConfigError: an argument is not above 0.
        InputError: in `fit`, all examples are of one class.
    """

    kind = "linear_probe"

    def __init__(self, c: float = 1.0, max_steps: int = 100) -> None:
        super().__init__()
        positive("c", c)
        positive("max_steps", max_steps)
        self.c, self.max_steps = c, max_steps

    def _fit(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        if len(self.classes) < 2:
            raise InputError(f"all examples are of the class {self.classes[0]!r}; at least two classes are needed")
        wide = features.astype(np.float64)
        mean, scale = wide.mean(0), wide.std(0)
        scale[scale < 1e-12] = 1.0  # a dimension that never changes stays 0
        wide -= mean
        wide /= scale
        count, dims = wide.shape
        axes = None
        if count < dims:  # the best weights are a combination of the examples: as many axes as these have are enough
            left, lengths, axes = np.linalg.svd(wide, full_matrices=False)
            wide = left * lengths
        weight, bias = softmax_regression(wide, labels, len(self.classes), 1 / (self.c * count), self.max_steps)
        fitted = (weight if axes is None else weight @ axes) / scale
        self.weight = np.ascontiguousarray(fitted, dtype=np.float32)
        self.bias = (bias - fitted @ mean).astype(np.float32)

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


SAMPLE = 4_096
"""Examples that the preconditioner is made from, at most."""

GRADIENT = 1e-6
"""At the optimum no derivative of the mean loss is above this."""

SOLVES = 200
"""Steps of conjugate gradients per Newton step, at most."""


def softmax_regression(
    inputs: NDArray[np.float64], labels: NDArray[np.int64], classes: int, decay: float, max_steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise the mean cross entropy + decay |W|^2 / 2 by a truncated Newton method.

    Newton's equations are solved by conjugate gradients (J. Nocedal and S. Wright, Numerical Optimization, 2006,
    algorithm 7.1), which need the Hessian only as a product with a vector; that product is in float32, as it decides
    how fast the optimum is found and not which. The preconditioner takes all classes to be uncertain for the same
    examples, each as much as it is on average, and looks at the most uncertain ones.

    Args:
        inputs: (N, D).
        labels: (N,) class numbers.
        classes: K.
        decay: of the weights; biases are free.
        max_steps: Newton steps at most.

    Returns:
        Weights (K, D) and biases (K,).
    """
    import torch

    count = len(inputs)
    x = torch.from_numpy(np.hstack([inputs, np.ones((count, 1))]))  # (N, D + 1): the bias is one more weight
    y, narrow = torch.from_numpy(labels)[:, None], x.float()
    decays = torch.full((x.shape[1], 1), decay, dtype=torch.float64)
    decays[-1] = 0

    def evaluate(w: torch.Tensor) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Return loss, gradient (D + 1, K) and probabilities (N, K)."""
        scores = (x @ w).log_softmax(1)
        loss = -scores.gather(1, y).mean() + (decays * w.square()).sum() / 2
        p = scores.exp()
        return float(loss), x.T @ p.scatter_add(1, y, -torch.ones_like(p[:, :1])) / count + decays * w, p

    w = torch.zeros(x.shape[1], classes, dtype=torch.float64)
    loss, gradient, p = evaluate(w)
    for _ in range(max_steps):
        steepest = float(gradient.abs().max())
        if steepest < GRADIENT:
            break
        uncertain, likely = (p * (1 - p)).mean(0), p.float()
        weights, chosen = (1 - p.square().sum(1)).topk(min(count, SAMPLE))
        sample = narrow[chosen] * (weights / weights.sum()).sqrt()[:, None].float()
        spectrum, axes = torch.linalg.eigh((sample.T @ sample).double())
        inverse = 1 / (spectrum.clamp_min(0)[:, None] * uncertain + decay)  # (D + 1, K)

        def curve(v: torch.Tensor, p: torch.Tensor = likely) -> torch.Tensor:
            """The Hessian times v."""
            t = p * (narrow @ v.float())
            return (narrow.T @ (t - p * t.sum(1, keepdim=True))).double() / count + decays * v

        def precondition(r: torch.Tensor, axes: torch.Tensor = axes, inverse: torch.Tensor = inverse) -> torch.Tensor:
            return torch.mm(axes, (axes.T @ r) * inverse)

        step = conjugate_gradients(curve, -gradient, precondition, min(0.5, steepest**0.5))
        slope, length = float((gradient * step).sum()), 1.0
        trial = evaluate(w + step)
        while trial[0] > loss + 1e-4 * length * slope and length > 1e-6:
            length /= 2
            trial = evaluate(w + length * step)
        if trial[0] >= loss:
            break  # as low as float64 goes
        w = w + length * step
        loss, gradient, p = trial
    return w[:-1].T.numpy(), w[-1].numpy()


def conjugate_gradients(
    matrix: Callable[[torch.Tensor], torch.Tensor],
    target: torch.Tensor,
    precondition: Callable[[torch.Tensor], torch.Tensor],
    tolerance: float,
) -> torch.Tensor:
    """Return x such that ``matrix(x)`` is `target`, up to a share `tolerance` of what it is at x = 0."""
    x, residual = target.new_zeros(target.shape), target.clone()
    direction = z = precondition(residual)
    size = first = float((residual * z).sum())
    for _ in range(SOLVES):
        product = matrix(direction)
        length = size / float((direction * product).sum())
        x += length * direction
        residual -= length * product
        z = precondition(residual)
        size, last = float((residual * z).sum()), size
        if size <= tolerance**2 * first:
            break
        direction = z + (size / last) * direction
    return x
