"""`TrainConfig`: all that decides a training run, with the defaults of each way to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from nexus.config import Config
from nexus.layers.classifier_head import HeadConfig
from nexus.layers.lora import LoRAConfig
from nexus.losses.classification import LossConfig
from nexus.objectives.distillation import DistillConfig
from nexus.training.ema import EMAConfig
from nexus.training.optim import OptimizerConfig
from nexus.training.schedule import ScheduleConfig
from nexus.transforms.augment import AugmentConfig
from nexus.transforms.mix import ErasingConfig, MixConfig

__all__ = ["TrainConfig", "resolve"]

Mode = Literal["finetune", "scratch"]


class TrainConfig(Config):
    """How a model is trained on labelled pictures. `resolve` fills in what suits the mode.

    Attributes:
        epochs: times that every picture is seen.
        batch_size: pictures per optimiser step, over all processes.
        micro_batch: pictures that are in memory at once; the gradients of a batch's parts are added up.
        lr: learning rate at its highest.
        lr_batch: the batch size that `lr` is meant for; other batch sizes scale it linearly. None: as it is.
        optimizer, schedule, loss, augment, mix, erase, head: see each one's class.
        ema: validate and keep an average of the weights instead of the last ones.
        teacher: a model with the same classes, e.g. another run's folder, whose answers are learnt from too; it labels
            the pictures that have no label.
        distill: how they are; see `DistillConfig`.
        lora: train low-rank changes of linear layers, and the head, instead of all weights.
        freeze: names of parts that are not trained, with wildcards: ``"patch_embed"``, ``"blocks.[0-7]"``.
        model: changes to the model's own config.
        drop_path: rate of stochastic depth at the last block; None: the model's own.
        clip_grad: longest gradient; None: any.
        precision: of the forward and backward pass. auto: bf16 where the device computes it fast, else fp32.
        channels_last: lay out kernels and pictures pixel by pixel, which convolutions prefer. None: where they overlap.
        compile: let torch.compile fuse the model.
        gradient_checkpointing: recompute blocks in the backward pass instead of keeping their activations.
        balanced: draw every class equally often.
        sizes: input sides to change between, step by step (multi-scale training).
        early_stopping: end after so many evaluations without a better one.
        evaluate_every: epochs between evaluations.
        checkpoint_minutes: a run that was killed loses at most so much; 0: a checkpoint after every step.
        seed: of everything that is random.
    """

    epochs: PositiveInt = 30
    batch_size: PositiveInt = 64
    micro_batch: PositiveInt | None = None
    lr: PositiveFloat = 5e-5
    lr_batch: PositiveInt | None = None
    optimizer: OptimizerConfig = Field(default_factory=lambda: OptimizerConfig.parse({}))
    schedule: ScheduleConfig = Field(default_factory=lambda: ScheduleConfig.parse({}))
    loss: LossConfig = Field(default_factory=lambda: LossConfig.parse({}))
    augment: AugmentConfig = AugmentConfig()
    mix: MixConfig | None = None
    erase: ErasingConfig | None = None
    head: HeadConfig = Field(default_factory=lambda: HeadConfig.parse({}))
    ema: EMAConfig | None = None
    teacher: str | None = None
    distill: DistillConfig = Field(default_factory=lambda: DistillConfig.parse({}))
    lora: LoRAConfig | None = None
    freeze: tuple[str, ...] = ()
    model: dict[str, Any] = Field(default_factory=dict)
    drop_path: float | None = Field(None, ge=0, lt=1)
    clip_grad: PositiveFloat | None = 1.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool | None = None
    compile: bool = False
    gradient_checkpointing: bool = False
    balanced: bool = False
    sizes: tuple[PositiveInt, ...] = ()
    early_stopping: PositiveInt | None = None
    evaluate_every: PositiveInt = 1
    checkpoint_minutes: float = Field(10.0, ge=0)
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainConfig:
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch = {self.micro_batch} is more than batch_size = {self.batch_size}")
        return self

    @property
    def peak_lr(self) -> float:
        """The learning rate for this batch size (Goyal et al. 2017, section 2.1)."""
        return self.lr * (self.batch_size / self.lr_batch if self.lr_batch else 1.0)


WARMUP_SHARE = 0.2
"""Of a run, at most, where the length of the warm-up was not said."""

DEFAULTS: dict[Mode, dict[str, Any]] = {
    "finetune": {
        "lr": 5e-5,
        "optimizer": {"layer_decay": 0.75},
        "schedule": {"warmup_epochs": 1},
        "augment": {"policy": "none", "scale": (0.35, 1.0)},
        "drop_path": 0.1,
    },
    "scratch": {
        "epochs": 100,
        "batch_size": 128,
        "lr": 1e-3,
        "lr_batch": 1024,
        "schedule": {"warmup_epochs": 5},
        "augment": {"policy": "randaugment"},
        "mix": {},
        "erase": {},
        "drop_path": 0.1,
    },
}
"""What differs from `TrainConfig`'s own defaults. Learning rates: the team's document on training (scratch 1e-3 with
warm-up, fine-tuning 1e-5 to 5e-5); from scratch the recipe of DeiT (Touvron et al. 2021, table 9: its 5e-4 per 512
pictures, RandAugment, MixUp, CutMix, random erasing, stochastic depth 0.1, 5 epochs of warm-up); fine-tuning with the
layer-wise decay of BEiT and MAE (He et al. 2022, table 9)."""


LORA = {"lr": 5e-3, "optimizer": {"layer_decay": 1.0}}
"""What differs from these where LoRA trains in place of all weights: its changes begin at zero, and bear a rate a
hundred times as high (PEFT's guide to a ViT, docs/source/task_guides/lora_based_methods.md)."""


def resolve(mode: Mode, values: Mapping[str, Any] | TrainConfig) -> TrainConfig:
    """Return the config of a run: what was said, over the defaults of its mode.

    Args:
        mode: ``"finetune"``: from trained weights; ``"scratch"``: from random ones.
        values: any part of a `TrainConfig`; sections may be partial, too.

    Raises:
        ConfigError: an unknown key, or a value out of range.
    """
    if isinstance(values, TrainConfig):
        return values
    defaults = merged(DEFAULTS[mode], LORA) if values.get("lora") is not None else DEFAULTS[mode]
    config = TrainConfig.parse(merged(defaults, values))
    said = values.get("schedule", {})
    if not {"warmup_epochs", "warmup_steps"}.isdisjoint(said):
        return config
    # The recipes' warm-ups are those of long runs.
    shorter = min(config.schedule.warmup_epochs, WARMUP_SHARE * config.epochs)
    return config.replace(schedule={**config.schedule.to_dict(), "warmup_epochs": shorter})


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with some values changed, section by section."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
