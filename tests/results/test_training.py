from __future__ import annotations

from nexus.results import DryRun, TrainResult


def dry_run(seconds_per_epoch: float, steps_per_epoch: int = 20) -> str:
    """The line about time."""
    said = DryRun(
        mode="finetune",
        model="m",
        config={"epochs": 300},
        classes=("cat", "dog"),
        images=640,
        validated=64,
        parameters=10,
        trainable=5,
        precision="fp32",
        steps_per_epoch=steps_per_epoch,
        seconds_per_epoch=seconds_per_epoch,
        memory=0,
        warnings=(),
    ).lines()
    return next(line for line in said if line.startswith("time: "))


def test_a_dry_run_tells_short_times_too() -> None:
    assert dry_run(1.5) == "time: 1.5 s an epoch of 20 steps, 7.5 min for 300"
    assert dry_run(600) == "time: 10 min an epoch of 20 steps, 50 h for 300"
    assert dry_run(2.5, steps_per_epoch=0).startswith("time: 2.5 s for the features")


def test_a_short_run_took_some_time() -> None:
    result = TrainResult(folder="run", mode="probe", model="m", classes=("cat", "dog"), images=8, seconds=2.5)
    assert result.lines()[0] == "probe of m: 2 classes, 8 pictures, 2.5 s"
