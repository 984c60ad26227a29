"""Mixed precision: which numbers the forward and backward pass compute in, and the scaling that fp16 needs."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nexus.distributed.shard import Precision as Computed
from nexus.distributed.shard import clip_gradients
from nexus.engines.catalogue import computes_bf16
from nexus.errors import ConfigError

__all__ = ["Precision"]

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Automatic mixed precision (Micikevicius et al. 2018): weights and optimiser in fp32, products in 16 bits.

    Args:
        name: ``"fp32"``, ``"bf16"``, ``"fp16"``, or ``"auto"``: bf16 where the device computes it fast, else fp32.
        device: where the model runs.

    Attributes:
        name: as above, resolved.

    Raises:
        ConfigError: fp16 on a CPU, which has no fast path for it.
    """

    def __init__(self, name: Literal["auto"] | Computed, device: torch.device) -> None:
        self.name: Computed = name if name != "auto" else ("bf16" if computes_bf16(device) else "fp32")
        if self.name == "fp16" and device.type == "cpu":
            raise ConfigError("precision = fp16: a CPU does not compute in it; bf16 has the same size there")
        self._device = device
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.name == "fp16")

    def autocast(self) -> AbstractContextManager[None]:
        """The context of a forward pass."""
        return torch.autocast(self._device.type, TYPES[self.name], enabled=self.name != "fp32")

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss to call `backward` on."""
        return self._scaler.scale(loss)

    def step(self, optimizer: torch.optim.Optimizer, model: nn.Module, longest: float | None) -> float:
        """Clip the gradients and do the optimiser's step.

        A gradient that is not finite changes nothing: fp16 leaves the step out and scales the next loss less; otherwise
        whoever called has to give up.

        Args:
            optimizer: of `model`.
            model: whose gradients are there.
            longest: norm to which they are clipped; None: not at all.

        Returns:
            The norm of all gradients before.
        """
        self._scaler.unscale_(optimizer)
        norm = float(clip_gradients(model, torch.inf if longest is None else longest))
        if math.isfinite(norm) or self.name == "fp16":
            self._scaler.step(optimizer)
            self._scaler.update()
        return norm

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self._scaler.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Restore `state`."""
        if state:
            self._scaler.load_state_dict(state)
