"""The model card: its front matter is what the hub reads, its words what was found, and no path of this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import ModelCard

from nexus.training.card import RunFacts, model_card

FACTS = RunFacts(
    name="flowers",
    mode="finetune",
    base="dinov2_vits14",
    data="/home/somebody/my pictures/flowers",
    classes=("rose", "lily | white", "oak_leaf"),
    counts=(40, 1200, 7),
    validated=30,
    metrics={"top1": 0.9, "loss": 0.25, "ece": 0.081, "unheard_of": 3.0},
    config={
        "epochs": 3,
        "optimizer": {"betas": (0.9, 0.99)},
        "distill": {"teacher": "/home/somebody/runs/big teacher"},
    },
    confusion=np.array([[8, 2, 0], [0, 10, 0], [0, 1, 9]]),
    warnings=("no warm-up",),
    versions={"nexus": "1.0", "torch": "2.13"},
    files=("config.json", "confusion.png", "curves.png"),
)


def test_the_hub_reads_the_front_matter() -> None:
    data = ModelCard(model_card(FACTS)).data
    assert (data.license, data.base_model, data.pipeline_tag) == (
        "apache-2.0",
        "facebook/dinov2-small",
        "image-classification",
    )
    assert {"nexus", "dinov2", "finetune"} <= set(data.tags)
    assert data.metrics == ["accuracy", "loss", "expected_calibration_error"]
    assert ModelCard(model_card(replace(FACTS, data="flowers/train"))).data.eval_results[0].dataset_name == "flowers"
    assert data.datasets is None  # a folder is no data set of the hub
    first = data.eval_results[0]
    assert (first.dataset_name, first.metric_type, first.metric_name) == ("flowers", "accuracy", "top-1 accuracy")
    assert first.metric_value == 0.9


def test_a_data_set_of_the_hub_is_linked() -> None:
    data = ModelCard(model_card(replace(FACTS, data="hf:owner/flowers (train)"))).data
    assert data.datasets == ["owner/flowers"]
    assert data.eval_results[0].dataset_type == "owner/flowers"


def test_the_card_says_what_was_found() -> None:
    card = model_card(FACTS)
    for said in (
        "`dinov2_vits14`, fine-tuned on 1,247 pictures of 3 classes (flowers)",
        "nexus classify photos/ --model flowers",
        "| top-1 accuracy | 90.0% |",
        "| loss | 0.250 |",
        "- rose taken for lily \\| white: 2 (20%)",
        "| lily \\| white | 1,200 | 10 of 10 |",
        "![Loss, accuracy and learning rate](curves.png)\n\n![What is taken for what](confusion.png)",
        "optimizer.betas = [0.9, 0.99]",
        "nexus 1.0, torch 2.13",
        "Fewer than 10 pictures were there to learn from of oak\\_leaf (7)",
        "differs by 8% on average",
        "- No warm-up.",
        "under Apache-2.0; that holds for these, too",
        "@misc{oquab2023dinov2",
    ):
        assert said in card
    assert "mistakes.png" not in card  # the run has none
    assert "unheard_of" not in card


def test_no_path_of_this_machine_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    windows = replace(FACTS, data="C:\\Users\\somebody\\flowers", base="~/runs/before")
    here = replace(FACTS, data=str(tmp_path_factory.mktemp("plants")))
    for facts in (FACTS, windows, here):
        card = model_card(facts)
        assert not any(part in card for part in ("somebody", "my pictures", "/home", "Users", "~", "/tmp"))
    assert "distill.teacher = big teacher" in model_card(FACTS)
    assert "`before`, fine-tuned" in model_card(windows)


def test_random_weights_have_no_licence_and_no_base() -> None:
    card = model_card(replace(FACTS, mode="scratch"))
    assert ModelCard(card).data.license is None
    assert ModelCard(card).data.base_model is None
    assert "from random weights" in card
    assert "The weights that it began with" not in card
    assert "@misc{oquab2023dinov2" in card  # the architecture is theirs all the same


def test_what_is_restricted_is_said() -> None:
    card = model_card(replace(FACTS, base="convnextv2_atto", mode="probe"))
    assert ModelCard(card).data.license == "cc-by-nc-4.0"
    assert "under CC-BY-NC-4.0 (no commercial use)" in card
    assert "itself was not changed" in card
    own = ModelCard(model_card(replace(FACTS, base="mobilevit_s"))).data
    assert (own.license, own.license_name) == ("other", "LicenseRef-Apple-Sample-Code")
    unknown = model_card(replace(FACTS, base="SomebodysModel"))
    assert "under a licence not known here" in unknown
    assert "## Cite" not in unknown


def test_many_classes_are_summed_up() -> None:
    many = replace(
        FACTS, classes=[f"c{n}" for n in range(60)], counts=range(1, 61), confusion=None, metrics={"map": 0.5}
    )
    card = model_card(many)
    assert "60 classes of 1 to 60 pictures, 31 in the middle." in card
    assert "and" not in card.split("Fewer than 10 pictures")[1].splitlines()[0]  # nine are named
    assert "| mean average precision | 50.0% |" in card
    assert "knows no other classes" in card


def test_without_validation_there_are_no_results() -> None:
    card = model_card(replace(FACTS, metrics={}, confusion=None, validated=0, files=()))
    assert "## Results" not in card
    assert ModelCard(card).data.eval_results is None
