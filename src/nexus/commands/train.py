"""``nexus train``: a model for your own classes: a head on frozen features, fine-tuned, or from random weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from nexus.commands._options import RunOptions, TableOptions
from nexus.commands._verb import verb
from nexus.errors import ConfigError
from nexus.results import DryRun, TrainResult

if TYPE_CHECKING:
    from nexus.commands._probing import ProbeRequest
    from nexus.commands._training import TrainingRequest

__all__ = ["train"]


class TrainOptions(RunOptions, TableOptions, total=False):
    """How the model is run, and how the labels are read."""


@verb
def train(
    source: Any,
    *,
    mode: Literal["probe", "finetune", "scratch"] = "finetune",
    out: str | None = None,
    val: str | float | None = None,
    classes: str | Sequence[str] | None = None,
    unlabelled: str | None = None,
    epochs: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    config: Any = None,
    settings: Sequence[str] | None = None,
    shots: str | Sequence[int] | None = None,
    parallel: Literal["none", "ddp", "fsdp"] = "ddp",
    track: Sequence[str] | None = None,
    dry_run: bool = False,
    push_to_hub: str | None = None,
    **options: Unpack[TrainOptions],
) -> TrainResult | DryRun:
    """Train a model on your own labelled pictures.

    ``nexus train photos --mode probe`` learns the names of the folders in photos, in minutes; ``nexus classify new
    --model runs/dinov2_vits14-probe`` then tells them of new pictures.

    The result is a folder that every other verb takes as `model`. A run that was interrupted goes on with the same
    command, bit for bit; on several GPUs or machines: ``torchrun --nproc-per-node 4 -m nexus train ...``.

    Args:
        source: labelled pictures: a folder with one folder per class, or one with train/ and val/; a CSV; WebDataset
            shards; a Hugging Face dataset (``hf:owner/name``, or its folder).
        mode: ``probe``: a linear layer on the frozen model's features (10 pictures a class and up, minutes);
            ``finetune``: all of a trained model (hundreds and up); ``scratch``: random weights (100,000 and up).
        out: folder of the run; by default runs/MODEL-MODE.
        val: pictures to measure on: a folder or file, or a share of the source, e.g. 0.1; by default those that the
            source has, else a tenth of each class.
        classes: learn these only, in this order, e.g. ``cat,dog``; pictures of others are left out.
        unlabelled: further pictures, whose labels a teacher guesses (``--set teacher=RUN``).
        epochs: times that every picture is seen.
        lr: highest learning rate.
        seed: what all that is random is drawn from; 0 by default.
        config: settings in a .toml or .json file, or in Python a mapping; see `nexus.training.TrainConfig`.
        settings: single settings, ``optimizer.name=lamb``, ``mix.mixup_alpha=0.8``, ``lora.rank=8``, over those of
            `config`.
        shots: with ``probe``, also say how good so many pictures a class would be, e.g. ``1,5,10``.
        parallel: how the processes that torchrun started share the work: copies of the model, or shards of it.
        track: where to log, too: ``tensorboard`` (by default, where installed), ``mlflow``, ``wandb``, ``none``.
        dry_run: only say what would be done: the settings, parameters, memory and time, from ten measured steps.
        push_to_hub: repository on the Hugging Face hub to send the result to.

    Returns:
        Where the result is and how good it is on the validation pictures.

    Raises:
        ConfigError: a setting is unknown or out of range, or the folder holds another run.
        InputError: the data cannot be trained on; the message says why and what to do.
        TrainingError: the run cannot go on; what it had reached is kept.
    """
    from nexus.commands._training import TrainingRequest, default_folder, read_data, with_unlabelled

    values = _values(config, settings, epochs, lr, seed, options)
    chosen = classes.split(",") if isinstance(classes, str) else classes
    columns = {"image": options.pop("image"), "label": options.pop("label")}
    splits = read_data(source, val, values.get("seed", 0), options["progress"], classes=chosen, **columns)
    folder = default_folder(out, options["model"], mode)
    if unlabelled is not None:
        splits = with_unlabelled(splits, unlabelled, mode)
    request: ProbeRequest | TrainingRequest
    if mode == "probe":
        from nexus.commands._probing import ProbeRequest

        request = ProbeRequest(splits, values, folder, _numbers(shots), options)
    else:
        from nexus.training.config import resolve

        request = TrainingRequest(mode, splits, resolve(mode, values), folder, parallel, track, options)
    if dry_run:
        return request.estimate()
    if push_to_hub is None:
        return request.run()
    from nexus.training.hub_upload import open_repository, push_run

    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    if first:
        open_repository(push_to_hub)  # what is wrong with it is better heard before the run
    result = request.run()
    return result.model_copy(update={"published": push_run(folder, push_to_hub)}) if first else result


def _values(
    config: Any,
    settings: Sequence[str] | None,
    epochs: int | None,
    lr: float | None,
    seed: int | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """What the user said, as nested settings: the file, over it single settings, over those the flags."""
    values = dict(config) if isinstance(config, Mapping) else _read(config) if config is not None else {}
    for setting in settings or ():
        _put(values, setting)
    flags = {"epochs": epochs, "lr": lr, "batch_size": options["batch_size"], "seed": seed}
    return {**values, **{name: value for name, value in flags.items() if value is not None}}


def _numbers(shots: str | Sequence[int] | None) -> tuple[int, ...]:
    try:
        return tuple(int(shot) for shot in (shots.split(",") if isinstance(shots, str) else shots or ()))
    except ValueError:
        raise ConfigError(f"shots = {shots!r}: write numbers with commas between them, e.g. 1,5,10") from None


def _read(path: str | Path) -> dict[str, Any]:
    import tomllib

    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
        parsed = tomllib.loads(text) if str(path).endswith(".toml") else json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"config = {path}: cannot be read as TOML or JSON ({error})") from None
    if not isinstance(parsed, dict):
        raise ConfigError(f"config = {path}: holds a {type(parsed).__name__}, not settings by name")
    return parsed


def _put(values: dict[str, Any], setting: str) -> None:
    """Write ``optimizer.name=lamb`` into nested settings; a value is JSON, or else text."""
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise ConfigError(f"settings = {setting!r}: write NAME=VALUE, e.g. optimizer.name=lamb")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *sections, name = path.split(".")
    for section in sections:
        inner = values.get(section)
        values[section] = dict(inner) if isinstance(inner, Mapping) else {}
        values = values[section]
    values[name] = value
