"""What is said of an evaluation."""

from __future__ import annotations

from nexus.results import EvaluateResult, ProtocolRow


def settings_said(top1: list[float], chosen: int) -> list[str]:
    """The lines on the settings of a protocol, of which one was chosen."""
    rows = tuple(ProtocolRow(setting=f"lr {number}", top1=share) for number, share in enumerate(top1))
    result = EvaluateResult(
        protocol="linear", model="model", data="data", count=8, multi_label=False, top1=top1[chosen],
        top1_interval=(0.0, 1.0), balanced_accuracy=0.5, macro_f1=0.5, classes=(), settings=rows,
        setting=rows[chosen].setting,
    )  # fmt: skip
    said = result.lines()
    start = next(number for number, line in enumerate(said) if "SETTING" in line)
    return [" ".join(line.split()) for line in said[start:]]


def test_few_settings_are_listed_as_they_were_tried() -> None:
    assert settings_said([0.5, 0.25, 0.5], chosen=2) == [
        "SETTING TOP-1", "lr 0 50.0%", "lr 1 25.0%", "* lr 2 50.0%"
    ]  # fmt: skip


def test_of_many_settings_the_best_are_listed_and_the_chosen_one_first() -> None:
    """Several are as good as it: which one was chosen decides the loss, which the table does not show."""
    title, first, second, *others = settings_said([0.25] * 20 + [0.5] * 3, chosen=22)
    assert (title, first, second) == ("BEST SETTINGS TOP-1", "* lr 22 50.0%", "lr 20 50.0%")
    assert len(others) == 8
    assert not any("*" in line for line in others)
