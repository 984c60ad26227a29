"""Learning from labelled pictures: the loop and what it is made of. What is minimised is in `nexus.objectives`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.training.build import fresh_model as fresh_model
    from nexus.training.build import set_head as set_head
    from nexus.training.card import RunFacts as RunFacts
    from nexus.training.card import model_card as model_card
    from nexus.training.config import TrainConfig as TrainConfig
    from nexus.training.ema import EMA as EMA
    from nexus.training.ema import EMAConfig as EMAConfig
    from nexus.training.freezing import ParameterCount as ParameterCount
    from nexus.training.freezing import count_parameters as count_parameters
    from nexus.training.freezing import freeze as freeze
    from nexus.training.freezing import freeze_all_but_last as freeze_all_but_last
    from nexus.training.hub_upload import open_repository as open_repository
    from nexus.training.hub_upload import push_run as push_run
    from nexus.training.lamb import LAMB as LAMB
    from nexus.training.loggers import Logger as Logger
    from nexus.training.loggers import build_loggers as build_loggers
    from nexus.training.optim import OptimizerConfig as OptimizerConfig
    from nexus.training.optim import build_optimizer as build_optimizer
    from nexus.training.run_folder import RunFolder as RunFolder
    from nexus.training.schedule import ScheduleConfig as ScheduleConfig
    from nexus.training.schedule import build_schedule as build_schedule
    from nexus.training.schedule import get_cosine_schedule_with_warmup as get_cosine_schedule_with_warmup
    from nexus.training.schedule import scaled_lr as scaled_lr
    from nexus.training.trainer import Trainer as Trainer

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "EMA": ".ema",
        "EMAConfig": ".ema",
        "LAMB": ".lamb",
        "Logger": ".loggers",
        "OptimizerConfig": ".optim",
        "ParameterCount": ".freezing",
        "RunFacts": ".card",
        "RunFolder": ".run_folder",
        "ScheduleConfig": ".schedule",
        "TrainConfig": ".config",
        "Trainer": ".trainer",
        "build_loggers": ".loggers",
        "build_optimizer": ".optim",
        "build_schedule": ".schedule",
        "count_parameters": ".freezing",
        "fresh_model": ".build",
        "freeze": ".freezing",
        "freeze_all_but_last": ".freezing",
        "get_cosine_schedule_with_warmup": ".schedule",
        "model_card": ".card",
        "open_repository": ".hub_upload",
        "push_run": ".hub_upload",
        "scaled_lr": ".schedule",
        "set_head": ".build",
    },
)
