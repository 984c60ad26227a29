"""LAMB: Adam whose step has, in every layer, a length in proportion to that of the layer's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["LAMB"]


class LAMB(Optimizer):
    """Layer-wise adaptive moments for batch training (You et al. 2020, algorithm 2, with the identity as phi).

    As in the authors' code, parameters without weight decay (biases, norms) are not adapted: their trust ratio is 1.

    It is ours because the kept library that has it, pytorch-optimizer 4.1, takes other steps than the paper: it clips
    the norm of weights at 10 and applies the correction of the first moment's bias behind the trust ratio, so that
    the first step is ten times as long.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: decay of the first and of the second moment.
        eps: added to the root of the second moment.
        weight_decay: lambda of the paper; decays inside of the adapted step.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; `closure`, where given, computes the loss and its gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                update = self.adam_update(params, group["betas"], group["eps"])
                if group["weight_decay"]:
                    torch._foreach_add_(update, params, alpha=group["weight_decay"])
                    torch._foreach_mul_(update, trust_ratios(params, update))
                torch._foreach_add_(params, update, alpha=-group["lr"])
        return loss

    def adam_update(self, params: list[Tensor], betas: tuple[float, float], eps: float) -> list[Tensor]:
        """Return the first moments over the roots of the second, both corrected for their start at zero."""
        for p in params:
            if not self.state[p]:
                self.state[p] = {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
            self.state[p]["step"] += 1
        steps = [self.state[p]["step"].item() for p in params]
        first = [self.state[p]["exp_avg"] for p in params]
        second = [self.state[p]["exp_avg_sq"] for p in params]
        gradients = [p.grad for p in params if p.grad is not None]
        beta1, beta2 = betas
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        scale = torch._foreach_sqrt(torch._foreach_div(second, [1 - beta2**step for step in steps]))
        torch._foreach_add_(scale, eps)
        update = torch._foreach_div(first, [1 - beta1**step for step in steps])
        torch._foreach_div_(update, scale)
        return list(update)


def trust_ratios(params: list[Tensor], update: list[Tensor]) -> list[Tensor]:
    """Return the norm of each layer's weights over that of its update; 1 where one of them is zero."""
    norms = zip(torch._foreach_norm(params), torch._foreach_norm(update))
    return [torch.where((weight > 0) & (change > 0), weight / change, 1.0) for weight, change in norms]
