"""DINOv2's protocols, derived a second time from the authors' description."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import dataset, pixels, predictor

from nexus.datasets import LabelledImages
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, InputError
from nexus.evaluation import evaluate_knn, evaluate_linear
from nexus.evaluation.probe_sweep import DINOV2_RATES
from nexus.evaluation.protocols import LINEAR, LastBlocks
from nexus.models.cv import DINOv2

CLASSES = ("red", "green", "blue")


def coloured(count: int, seed: int, classes: tuple[str, ...] = CLASSES) -> LabelledImages:
    """Pictures in which the class's colour is a little stronger."""
    pictures = pixels(count, seed).astype(int)
    targets = np.random.default_rng(seed).integers(3, size=count)
    for picture, target in zip(pictures, targets):
        picture[..., target] += 110
    numbers = [classes.index(CLASSES[target]) for target in targets]
    return LabelledImages(list((pictures // 2).clip(0, 255).astype(np.uint8)), np.array(numbers), classes, "colours")


@pytest.fixture(scope="module")
def vit() -> Predictor:
    torch.manual_seed(0)
    model = DINOv2({"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 3, "num_heads": 2})
    for parameter in model.parameters():  # layers that do something
        torch.nn.init.normal_(parameter, std=0.3)
    model.preprocess = model.preprocess.at(28).replace(decode="exact")
    return Predictor(model, engine="eager", batch_size=16, workers=1)


def test_knn_is_a_weighted_vote_and_the_best_k_is_reported() -> None:
    ours, data = predictor(), coloured(40, 1, ("blue", "green", "red"))  # the classes stand in another order
    train = coloured(60, 2)
    found = evaluate_knn(ours, data, train, neighbours=(1, 5, 50, 70))
    known, asked = (torch.from_numpy(ours.embed(part.sources).vectors).double() for part in (train, data))
    cosines = torch.nn.functional.normalize(asked) @ torch.nn.functional.normalize(known).T
    targets = np.array([CLASSES.index(data.classes[number]) for number in data.targets])
    for k, row in zip((1, 5, 50, 60), found.settings, strict=True):
        values, nearest = cosines.topk(k)
        votes = (
            torch.nn.functional.one_hot(torch.from_numpy(train.targets)[nearest], 3) * (values / 0.07).exp()[..., None]
        )
        assert row.setting == f"k = {k}"
        assert row.top1 == pytest.approx((votes.sum(1).argmax(1).numpy() == targets).mean())
    assert found.top1 == max(row.top1 for row in found.settings)
    assert next(row for row in found.settings if row.setting == found.setting).top1 == found.top1
    assert found.top1 > 0.5
    assert (found.protocol, found.count, found.loss, found.top5) == ("knn", 40, None, None)
    assert {one.name for one in found.classes} == set(CLASSES)
    assert "60 labelled pictures" in found.notes[0]
    assert "best of 4 settings" in found.notes[1]
    assert "k = 5" in "\n".join(found.lines())


def test_the_last_blocks_are_dinov2s_intermediate_layers(vit: Predictor) -> None:
    blocks = LastBlocks.of(vit, 4)
    assert isinstance(blocks, LastBlocks)
    assert blocks.count == 3  # there are no more
    images = torch.randn(2, 3, 28, 28)
    found = vit.model(images)
    normed = [vit.model.norm(torch.cat([prefix, feature.flatten(2).transpose(1, 2)], 1)) for prefix, feature in zip(
        found["aux"]["prefix_tokens"], found["features"]
    )]  # fmt: skip
    wanted = torch.cat([*(state[:, 0] for state in normed), normed[-1][:, 1:].mean(1)], 1)
    np.testing.assert_allclose(blocks(images)["embeddings"].detach(), wanted.detach(), atol=1e-5)
    everything = torch.arange(64)
    assert {name: everything[columns].tolist() for name, columns in blocks.choices((1, 2, 7)).items()} == {
        "1 block": list(range(32, 48)),
        "1 block + patches": list(range(32, 64)),
        "2 blocks": list(range(16, 48)),
        "2 blocks + patches": list(range(16, 64)),
        "3 blocks": list(range(48)),
        "3 blocks + patches": list(range(64)),
    }


def test_linear_tries_all_heads_and_reports_the_best(vit: Predictor) -> None:
    data, train = coloured(40, 1, ("blue", "green", "red")), coloured(60, 2)
    config = LINEAR.replace(learning_rates=(1e-3, 1e-1), min_steps=60)
    found = evaluate_linear(vit, data, train, config=config)
    names = [
        f"{n}{more}, lr {lr}" for n in ("1 block", "3 blocks") for more in ("", " + patches") for lr in (0.001, 0.1)
    ]
    assert [row.setting for row in found.settings] == names
    assert found.top1 == max(row.top1 for row in found.settings) > 0.6
    assert found.loss is not None
    assert found.notes == (
        "60 steps (12,500 in the paper, on ImageNet), one crop of each picture",
        "the best of 8 settings was chosen on the pictures that it is scored on, as DINOv2 does",
    )
    again = evaluate_linear(vit, data, train, config=config)  # from the features on the disk
    assert again.settings == found.settings


def test_the_defaults_are_the_authors() -> None:
    assert LINEAR.learning_rates == DINOV2_RATES
    assert (LINEAR.momentum, LINEAR.weight_decays, LINEAR.batch_size, LINEAR.epochs) == (0.9, (0.0,), 1024, 10)
    assert (LINEAR.standardize, LINEAR.evaluations, LINEAR.patience) == (False, 1, None)  # only the end counts


def test_a_model_without_class_tokens_is_read_by_its_embeddings() -> None:
    data = coloured(30, 1)
    found = evaluate_linear(predictor(), data, coloured(30, 2), config=LINEAR.replace(learning_rates=(0.1,)))
    assert [row.setting for row in found.settings] == ["embeddings, lr 0.1"]
    assert "no class tokens" in found.notes[0]


def test_linear_takes_several_classes_per_picture() -> None:
    data, train = coloured(30, 1), coloured(40, 2)
    several = [replace(part, targets=np.stack([part.targets == 0, part.targets > 0], 1), classes=("red", "other"))
               for part in (data, train)]  # fmt: skip
    found = evaluate_linear(predictor(), *several, config=LINEAR.replace(learning_rates=(0.1,), min_steps=100))
    assert found.multi_label
    assert found.mean_average_precision is not None
    assert found.mean_average_precision > 0.7
    with pytest.raises(InputError, match="the protocol linear takes"):
        evaluate_knn(predictor(), *several)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="'purple'"):
        evaluate_knn(predictor(), replace(coloured(9, 1), classes=("purple", "green", "blue")), coloured(9, 2))
    with pytest.raises(InputError, match="no pictures"):
        evaluate_linear(predictor(), dataset(9), dataset(2))
    with pytest.raises(ConfigError, match="neighbours"):
        evaluate_knn(predictor(), coloured(9, 1), coloured(9, 2), neighbours=(0,))
    with pytest.raises(ConfigError, match="blocks"):
        evaluate_linear(predictor(), coloured(9, 1), coloured(9, 2), blocks=())
