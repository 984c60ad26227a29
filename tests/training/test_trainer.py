"""The training loop: it learns, continues bit for bit, and never goes on with a loss that is no number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import nexus
from nexus.datasets import LabelledImages
from nexus.errors import ConfigError, ImageError, TrainingError
from nexus.results import ProgressEvent
from nexus.training.config import TrainConfig
from nexus.training.trainer import Trainer

RESNET = {"block": "basic", "depths": (1, 1), "widths": (8, 16), "strides": (1, 2), "stem": "3x3", "stem_width": 8}

Make = Callable[..., Trainer]

RICH = {
    "augment": {"policy": "randaugment"},
    "mix": {},
    "drop_path": 0.3,
    "ema": {},
    "epochs": 3,
    "checkpoint_minutes": 0,
}
"""All that draws random numbers, and a checkpoint after every step."""


def losses(trainer: Trainer) -> list[float]:
    return [record["loss"] for record in trainer.folder.records("step")]


def test_it_learns(make_trainer: Make) -> None:
    trainer = make_trainer(epochs=12)
    trainer.fit()
    first, *_, last = trainer.folder.records("epoch")
    assert last["val_loss"] < first["val_loss"]
    assert trainer.state.best == 1.0
    best = nexus.load(trainer.folder.path, engine="eager")
    said = best.classify(trainer.validation.data.sources, top_k=1)
    assert [one.predictions[0].label for one in said] == ["blue", "green", "red"] * 3


def test_two_runs_are_equal(make_trainer: Make) -> None:
    one, two = make_trainer("one", **RICH), make_trainer("two", **RICH)
    one.fit()
    two.fit()
    assert losses(one) == losses(two)
    assert one.model.digest() == two.model.digest()


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 4, 5])
def test_an_interrupted_run_continues_bit_for_bit(make_trainer: Make, after: int) -> None:
    whole = make_trainer("whole", **RICH)
    whole.fit()

    def stop(event: ProgressEvent) -> None:
        if event.done == 22 * (after // 3) + min(8 * (after % 3), 22):  # three steps an epoch, 8, 8 and 6 pictures
            raise StoppedError

    with pytest.raises(StoppedError):
        make_trainer("broken", progress=stop, **RICH).fit()
    resumed = make_trainer("broken", **RICH)
    resumed.fit()
    assert losses(resumed) == losses(whole)
    assert resumed.model.digest() == whole.model.digest()
    assert without_times(resumed.folder.records()) == without_times(whole.folder.records())
    kept = [load_file(trainer.folder.path / "model.safetensors") for trainer in (resumed, whole)]
    assert all(torch.equal(kept[0][key], kept[1][key]) for key in kept[1])


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what differs between two sessions: how fast they were, and that there were two."""
    timed = ("images_per_second", "memory")
    return [{k: v for k, v in record.items() if k not in timed} for record in records if record["kind"] != "resume"]


def test_gradient_accumulation_changes_nothing(make_trainer: Make) -> None:
    settings = {**RICH, "ema": None, "checkpoint_minutes": 10}
    whole, parts = make_trainer("whole", **settings), make_trainer("parts", micro_batch=4, **settings)
    whole.fit()
    parts.fit()
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)


def test_gradient_checkpointing_changes_nothing(make_trainer: Make) -> None:
    whole, lean = make_trainer("whole", **RICH), make_trainer("lean", gradient_checkpointing=True, **RICH)
    whole.fit()
    lean.fit()
    assert losses(lean) == pytest.approx(losses(whole), abs=1e-6)


def test_a_loss_that_is_no_number_stops_with_the_batch(make_trainer: Make) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.norm.weight[0] = torch.nan
    with pytest.raises(TrainingError, match=r"step 1: the loss is nan.*learning rate"):
        trainer.fit()
    place = trainer.folder.path / "not_finite"
    assert json.loads((place / "step.json").read_text())["step"] == 0
    batch, model = load_file(place / "batch-0-0.safetensors"), load_file(place / "model.safetensors")
    assert batch["images"].shape == (8, 16, 16, 3)
    assert sorted(batch) == ["images", "indices", "partners", "seeds", "targets"]
    assert torch.isnan(model["norm.weight"][0])


def test_a_gradient_that_is_no_number_stops_before_the_step(make_trainer: Make) -> None:
    trainer = make_trainer()
    before = trainer.model.digest()
    trainer.model.norm.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingError, match=r"step 1: the gradient is (inf|nan)"):
        trainer.fit()
    assert trainer.model.digest() == before


def test_where_memory_runs_out_it_says_what_to_change(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer()

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer.objective, "forward", full)
    with pytest.raises(TrainingError, match=r"8 pictures of 16x16.*micro_batch.*gradient_checkpointing.*size"):
        trainer.fit()


def with_a_bad_file(folder: Path) -> LabelledImages:
    bad = folder / "bad.jpg"
    bad.write_bytes(b"no picture")
    good = np.full((20, 20, 3), 99, np.uint8)
    return LabelledImages([good, bad, good, good], np.array([0, 1, 1, 0]), ("a", "b"), "few")


def test_a_bad_picture_is_named_and_passed_over(make_trainer: Make, tmp_path: Path) -> None:
    trainer = make_trainer(train=with_a_bad_file(tmp_path))
    trainer.fit()
    (line,) = trainer.folder.skipped()
    assert line["source"].endswith("bad.jpg")
    assert len(losses(trainer)) == 2


def test_strict_stops_at_a_bad_picture(make_trainer: Make, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        make_trainer(train=with_a_bad_file(tmp_path), strict=True).fit()


def test_it_stops_early_when_nothing_gets_better(make_trainer: Make) -> None:
    trainer = make_trainer(epochs=30, lr=1e-9, early_stopping=2)
    trainer.fit()
    assert trainer.state.epoch == trainer.state.best_epoch + 2 < 30


def test_frozen_parts_stay(make_trainer: Make) -> None:
    trainer = make_trainer(freeze=("patch_embed", "blocks.0"))
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.fit()
    changed = {key for key, value in trainer.model.state_dict().items() if not torch.equal(value, before[key])}
    assert not any(key.startswith(("patch_embed", "blocks.0.")) for key in changed)
    assert any(key.startswith("blocks.1.") for key in changed)


def test_several_labels_a_picture(make_trainer: Make) -> None:
    plain = make_trainer().loader.data
    many = LabelledImages(plain.sources, np.eye(3, dtype=bool)[plain.targets], plain.classes, "many")
    trainer = make_trainer("many", train=many, val=many, epochs=15)
    trainer.fit()
    assert trainer.state.best > 0.95
    assert "val_map" in trainer.folder.records("epoch")[-1]


def test_bf16_follows_fp32(make_trainer: Make) -> None:
    full, half = make_trainer("full"), make_trainer("half", precision="bf16")
    full.fit()
    half.fit()
    assert losses(half) == pytest.approx(losses(full), abs=0.03)
    assert losses(half) != losses(full)


def test_adapters_are_merged_into_what_is_kept(make_trainer: Make) -> None:
    data = make_trainer("another").loader.data
    trainer = make_trainer(train=data, lora={"rank": 2}, lr=1e-2)  # nothing is validated: the last model is kept
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.fit()
    changed = {key for key, value in trainer.model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(".lora_" in key or key.startswith("head.") for key in changed)
    kept = nexus.load(trainer.folder.path).model
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(kept(images)["logits"], trainer.model.eval()(images)["logits"], atol=1e-5)


def test_a_mistake_in_a_section_is_named_with_it() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'optimizer\.nam' \(did you mean 'optimizer\.name'\?"):
        TrainConfig.parse({"optimizer": {"nam": "sgd"}})
    with pytest.raises(ConfigError) as caught:
        TrainConfig.parse({"optimizer": {"name": "adam"}})
    assert "weight_decay" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("settings", [{"channels_last": True}, pytest.param({"compile": True}, marks=pytest.mark.slow)])
def test_how_it_is_computed_changes_nothing(make_trainer: Make, settings: dict[str, Any]) -> None:
    plain, other = (make_trainer(name, model=RESNET, **own) for name, own in (("plain", {}), ("other", settings)))
    plain.fit()
    other.fit()
    assert losses(other) == pytest.approx(losses(plain), abs=1e-4)


def test_it_trains_at_several_sizes(make_trainer: Make) -> None:
    trainer = make_trainer(sizes=(16, 24), epochs=3)
    seen = []
    trainer.model.patch_embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    trainer.fit()
    assert set(seen) == {16, 24}


def test_clipping_shortens_the_step(make_trainer: Make) -> None:
    sgd = {
        "optimizer": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0},
        "schedule": {"warmup_steps": 0},
        "lr": 1.0,
    }
    moved = []
    for name, longest in (("free", None), ("clipped", 1e-3)):
        trainer = make_trainer(name, clip_grad=longest, **sgd)
        before = torch.nn.utils.parameters_to_vector(trainer.model.parameters()).clone()
        with trainer.loader:
            record = trainer.step(next(iter(trainer.loader.epoch(0))))
        after = torch.nn.utils.parameters_to_vector(trainer.model.parameters())
        moved.append((float((after - before).detach().norm()), record["grad_norm"]))
    (free, norm), (clipped, same) = moved
    assert norm == pytest.approx(same)
    assert free == pytest.approx(norm, rel=1e-3)
    assert clipped == pytest.approx(1e-3, rel=1e-2)
