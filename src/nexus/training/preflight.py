"""What is said before a run starts: the usual mistakes, in words."""

from __future__ import annotations

from torch import nn

from nexus.datasets.labelled import LabelledImages
from nexus.training.config import TrainConfig

__all__ = ["attends", "warnings_before"]

FEW_IMAGES = 100_000
RARE = 20
"""How many times as many pictures the largest class has as the smallest, from which on it is said."""

USUAL_LR = {"scratch": (1e-4, 5e-3), "finetune": (1e-6, 5e-4), "finetune with LoRA": (1e-4, 1e-2)}
"""Around the team's document on training (scratch 1e-3, fine-tuning 1e-5 to 5e-5), for AdamW. Small changes of frozen
weights bear more: PEFT's guide to a ViT takes 5e-3 (docs/source/task_guides/lora_based_methods.md)."""


def warnings_before(mode: str, model: nn.Module, config: TrainConfig, data: LabelledImages) -> list[str]:
    """Return what a person should read before the first step; nothing of it stops the run.

    Args:
        mode: ``"finetune"`` or ``"scratch"``.
        model: what is trained.
        config: how.
        data: on what.
    """
    found = []
    if mode == "scratch" and attends(model) and len(data) < FEW_IMAGES:
        found.append(
            f"a transformer trained from scratch on {len(data):,} pictures will underfit: below {FEW_IMAGES:,} take "
            "trained weights (--mode finetune, or probe), or a convolutional network"
        )
    if attends(model) and not (config.schedule.warmup_epochs or config.schedule.warmup_steps):
        found.append("a transformer without warm-up often diverges: set schedule.warmup_epochs to 5, or at least 1")
    way = mode if config.lora is None else f"{mode} with LoRA"
    low, high = USUAL_LR.get(way, USUAL_LR[mode])
    if config.optimizer.name == "adamw" and not low <= config.lr <= high:
        side = "low" if config.lr < low else "high"
        found.append(f"lr = {config.lr:g} is unusually {side} to {way}: {low:g} to {high:g} is usual with AdamW")
    if config.batch_size > len(data):
        found.append(
            f"batch_size = {config.batch_size} is more than the {len(data)} pictures: every step sees them all"
        )
    counts = data.counts()
    if not config.balanced and counts.max() > RARE * max(counts.min(), 1):
        most, least = data.classes[int(counts.argmax())], data.classes[int(counts.argmin())]
        found.append(
            f"{most!r} has {counts.max()} pictures and {least!r} {counts.min()}: balanced = true draws classes equally"
        )
    return found


def attends(model: nn.Module) -> bool:
    """Whether a model is built of attention."""
    return any("Attention" in type(module).__name__ for module in model.modules())
