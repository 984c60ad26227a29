"""How a forward pass is run: engines, the agreement check, the one timer, and `Predictor`, which every verb uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.engines.agreement import agreements as agreements
    from nexus.engines.auto import Choice as Choice
    from nexus.engines.auto import Trial as Trial
    from nexus.engines.base import Engine as Engine
    from nexus.engines.catalogue import build as build
    from nexus.engines.catalogue import missing as missing
    from nexus.engines.catalogue import names as names
    from nexus.engines.catalogue import resolve_device as resolve_device
    from nexus.engines.predictor import Batch as Batch
    from nexus.engines.predictor import Predictor as Predictor
    from nexus.engines.predictor import load as load
    from nexus.engines.timing import TimingTable as TimingTable
    from nexus.engines.timing import compare as compare
    from nexus.engines.timing import machine as machine

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Batch": ".predictor",
        "Choice": ".auto",
        "Engine": ".base",
        "Predictor": ".predictor",
        "TimingTable": ".timing",
        "Trial": ".auto",
        "agreements": ".agreement",
        "build": ".catalogue",
        "compare": ".timing",
        "load": ".predictor",
        "machine": ".timing",
        "missing": ".catalogue",
        "names": ".catalogue",
        "resolve_device": ".catalogue",
    },
)
