"""Loggers: TensorBoard's events read back, what is passed on to services, and failures that do not end a run."""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nexus.errors import ConfigError, MissingDependencyError, TrainingError
from nexus.training.loggers import build_loggers, flat, tag

CONFIG = {"lr": 1e-3, "optimizer": {"name": "adamw", "betas": (0.9, 0.999)}, "ema": None, "model": {}}
RED = Image.new("RGB", (6, 4), "#ff0000")


def test_tensorboard_shows_the_run(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    (logger,) = build_loggers(None, tmp_path, CONFIG)
    logger.log(1, {"loss": 2.0, "lr": 1e-4})
    logger.log(2, {"loss": 1.5, "lr": 2e-4})
    logger.log(2, {"train_loss": 1.75, "val_top1": 0.5})
    logger.picture(2, "confusion", RED)
    logger.close()

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    scalars = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert scalars == {
        "step/loss": [(1, 2.0), (2, 1.5)],
        "step/lr": [(1, pytest.approx(1e-4)), (2, pytest.approx(2e-4))],
        "train/loss": [(2, 1.75)],
        "val/top1": [(2, 0.5)],
    }
    (picture,) = events.Images("confusion")
    assert picture.step == 2
    assert (np.asarray(Image.open(io.BytesIO(picture.encoded_image_string))) == np.asarray(RED)).all()
    (text,) = events.Tensors("config/text_summary")
    assert "`optimizer.name` | adamw" in make_ndarray(text.tensor_proto).item().decode()


class FakeMlflow(types.ModuleType):
    """Remembers what MLflow is asked for."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.calls: list[tuple[Any, ...]] = []
        self.entities = types.SimpleNamespace(Param=lambda *args: args, Metric=lambda k, v, _, s: (k, v, s))

    def MlflowClient(self) -> Any:
        calls = self.calls

        class Client:
            def get_experiment_by_name(self, name: str) -> None:
                calls.append(("experiment", name))

            def create_experiment(self, name: str) -> str:
                calls.append(("create", name))
                return "7"

            def create_run(self, experiment: str, run_name: str) -> Any:
                calls.append(("run", experiment, run_name))
                return types.SimpleNamespace(info=types.SimpleNamespace(run_id="abc"))

            def __getattr__(self, name: str) -> Any:
                return lambda *args, **kwargs: calls.append((name, *args, *kwargs.values()))

        return Client()


def test_mlflow_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    (logger,) = build_loggers(["mlflow"], tmp_path / "flowers", CONFIG)
    logger.log(3, {"loss": 0.5, "val_top1": 0.75})
    logger.picture(3, "confusion", RED)
    logger.close()
    settings = [("lr", "0.001"), ("optimizer.name", "adamw"), ("optimizer.betas", "(0.9, 0.999)")]
    assert mlflow.calls == [
        ("experiment", "nexus"),
        ("create", "nexus"),
        ("run", "7", "flowers"),
        ("log_batch", "abc", settings),
        ("update_run", "abc", "RUNNING"),
        ("log_batch", "abc", [("step/loss", 0.5, 3), ("val/top1", 0.75, 3)]),
        ("log_image", "abc", RED, "confusion-00000003.png"),
        ("set_terminated", "abc"),
    ]
    del mlflow.calls[:]
    build_loggers(["mlflow"], tmp_path / "flowers", CONFIG)
    assert mlflow.calls == [("update_run", "abc", "RUNNING")]  # the same run goes on


class FakeWandb(types.ModuleType):
    """Remembers what Weights & Biases is asked for."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.started: list[dict[str, Any]] = []
        self.logged: list[Any] = []

    def init(self, **options: Any) -> Any:
        self.started.append(options)
        log = lambda values, step: self.logged.append((step, values))  # noqa: E731
        return types.SimpleNamespace(step=4, log=log, finish=lambda: self.logged.append("finished"))

    def Image(self, image: Image.Image) -> Any:
        return ("picture", image)


def test_weights_and_biases_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setenv("WANDB_PROJECT", "plants")
    for _ in range(2):
        (logger,) = build_loggers(["wandb"], tmp_path / "flowers", CONFIG)
    logger.log(3, {"loss": 0.5, "train_loss": 0.75})
    logger.picture(3, "confusion", RED)
    logger.close()
    first, second = wandb.started
    assert (first["project"], first["name"], first["config"]) == ("plants", "flowers", CONFIG)
    assert first["id"] == second["id"]
    assert second["resume"] == "allow"
    assert wandb.logged == [
        (3, {"step/loss": 0.5, "train/loss": 0.75}),
        (4, {"confusion": ("picture", RED)}),  # never before the last step
        "finished",
    ]


def test_a_logger_that_fails_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    (logger,) = build_loggers(["wandb"], tmp_path, CONFIG)
    monkeypatch.setattr(wandb, "Image", lambda _: 1 / 0)
    with pytest.warns(UserWarning, match=r"wandb failed.*division by zero") as warned:
        logger.picture(1, "confusion", RED)
    assert warned[0].filename == __file__
    logger.log(2, {"loss": 1.0})  # quietly: it was said once
    logger.close()
    assert wandb.logged == []


def test_a_logger_that_cannot_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(OSError("nobody is logged in")))
    with pytest.raises(TrainingError, match=r"wandb cannot start .nobody is logged in"):
        build_loggers(["wandb"], tmp_path, CONFIG)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependencyError, match=r"nexus-vision\[wandb\]"):
        build_loggers(["wandb"], tmp_path, CONFIG)
    with pytest.raises(ConfigError, match=r"'tensorbord'.*did you mean 'tensorboard'"):
        build_loggers(["tensorbord"], tmp_path, CONFIG)


def test_nothing_is_logged_elsewhere_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_loggers([], tmp_path, CONFIG) == build_loggers(["none"], tmp_path, CONFIG) == []
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert build_loggers(None, tmp_path, CONFIG) == []
    assert not list(tmp_path.iterdir())


def test_names_are_in_sections() -> None:
    assert [tag(key) for key in ("loss", "lr", "grad_norm", "train_loss", "val_top1", "val")] == [
        "step/loss",
        "step/lr",
        "step/grad_norm",
        "train/loss",
        "val/top1",
        "step/val",
    ]
    assert flat({"a": {"b": {"c": 1}, "d": None}, "e": {}}) == {"a.b.c": 1}
