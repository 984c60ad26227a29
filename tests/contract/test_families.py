"""What every family promises, tested on its tiny models (`TINY` in its `variants.py`) and on its variants' data."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from family_references import full_size_states
from safetensors.torch import save_file
from torch import Tensor, nn

from nexus import registry
from nexus.assets import load_labels
from nexus.errors import CheckpointMismatchError, ConfigError, InputError, NexusError, WeightsError
from nexus.layers import DropPath, seed_drop_path
from nexus.models.base import NexusModule
from nexus.models.loading import load_converted, load_model
from nexus.transforms.preprocess import PreprocessSpec
from nexus.types import OUTPUT_KEYS

FAMILIES = registry.families()


def tiny_models(family: str) -> tuple[dict[str, Any], ...]:
    """What a family states as `TINY`."""
    return getattr(importlib.import_module(f"{FAMILIES[family].package}.variants"), "TINY", ())


TINY = [
    pytest.param(tiny, id=f"{family}-{index}") for family in FAMILIES for index, tiny in enumerate(tiny_models(family))
]

each_tiny = pytest.mark.parametrize("tiny", TINY)
each_backbone = pytest.mark.parametrize("tiny", [param for param in TINY if "texts" not in param.values[0]])
each_pair = pytest.mark.parametrize("tiny", [param for param in TINY if "texts" in param.values[0]])
"""A pair of towers reads texts too, and has no head."""


def build(tiny: dict[str, Any], **changes: Any) -> NexusModule:
    torch.manual_seed(0)
    return registry.model_class(tiny["class_name"])({**tiny["config"], **changes}).eval()


def images(tiny: dict[str, Any], batch: int = 2, size: int = 0) -> Tensor:
    return torch.randn(batch, 3, *tiny["sizes"][size], generator=torch.Generator().manual_seed(1))


def texts(tiny: dict[str, Any], count: int = 3) -> dict[str, Tensor]:
    """Random texts, as the call of a pair takes them; nothing for other models."""
    if "texts" not in tiny:
        return {}
    shape, generator = (count, tiny["texts"]["length"]), torch.Generator().manual_seed(2)
    return {"input_ids": torch.randint(tiny["texts"]["vocabulary"], shape, generator=generator)}


def answers(tiny: dict[str, Any]) -> tuple[str, ...]:
    """The outputs that a model is asked for with all its inputs."""
    image = ("embeddings", "tokens", "features", "pyramid", "logits")
    return (*image, "text_embeddings") if "texts" in tiny else image


def flat(found: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor of a model's output, by its path."""
    if isinstance(found, Tensor):
        return {name: found}
    items = found.items() if isinstance(found, dict) else enumerate(found)
    return {path: tensor for key, value in items for path, tensor in flat(value, f"{name}.{key}").items()}


def assert_same(found: Any, expected: Any, **tolerance: float) -> None:
    found, expected = flat(found), flat(expected)
    assert found.keys() == expected.keys()
    for path in expected:
        torch.testing.assert_close(
            found[path], expected[path], msg=lambda text, path=path: f"{path}: {text}", **tolerance
        )


# -- configs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_has_a_tiny_model(family: str) -> None:
    assert {tiny["class_name"] for tiny in tiny_models(family)} == set(FAMILIES[family].classes)
    assert all(len(tiny["sizes"]) >= 2 for tiny in tiny_models(family))


@pytest.mark.parametrize("family", [name for name in FAMILIES if FAMILIES[name].package.startswith("nexus.")])
def test_every_family_says_how_to_cite_it(family: str) -> None:
    """`CITATION` in `variants.py`; a family outside the tree may have no paper."""
    assert FAMILIES[family].citations, f"{family}/variants.py needs CITATION: title, authors, year, arxiv or url"
    for paper in FAMILIES[family].citations:
        assert paper.bibtex().startswith(("@misc{", "@inproceedings{"))


@each_tiny
def test_config_round_trips(tiny: dict[str, Any]) -> None:
    import json

    model = build(tiny)
    described = model.config.to_dict()
    assert type(model.config).parse(json.loads(json.dumps(described))) == model.config
    assert type(model)(described).config == model.config
    assert type(model)(model.config).config is model.config


@each_tiny
def test_unknown_config_key_names_the_nearest(tiny: dict[str, Any]) -> None:
    key = "image" if "texts" in tiny else "num_classes"
    with pytest.raises(ConfigError, match=rf"unknown key '{key}z' \(did you mean '{key}'\?\)"):
        build(tiny, **{f"{key}z": 3})


@each_tiny
def test_same_seed_same_weights(tiny: dict[str, Any]) -> None:
    first, second = build(tiny), build(tiny)
    assert_same(first.state_dict(), second.state_dict(), atol=0, rtol=0)
    assert all(tensor.isfinite().all() for tensor in first.state_dict().values())


# -- outputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1])
@each_tiny
def test_outputs_are_as_types_says(tiny: dict[str, Any], size: int) -> None:
    model, x = build(tiny), images(tiny, size=size)
    found = model(x, **texts(tiny))
    assert set(found) <= set(OUTPUT_KEYS)
    assert set(answers(tiny)) <= set(found)
    batch, width = found["embeddings"].shape
    assert batch == 2
    if "texts" in tiny:
        assert found["logits"].shape == (2, 3)
        assert found["text_embeddings"].shape == (3, width)
    else:
        assert found["logits"].shape == (2, model.config.num_classes)
        assert model.head.in_features == width
    assert found["tokens"].ndim == 3
    assert len(found["features"]) == len(list(model.blocks))
    assert all(feature.ndim == 4 and len(feature) == 2 for feature in found["features"])
    strides = list(found["pyramid"])
    assert strides == sorted(strides)
    for stride, level in found["pyramid"].items():
        cells = tuple(-(-side // stride) for side in x.shape[-2:])
        if tiny.get("unpadded"):  # convolutions without padding lose the border
            assert all(0 < own <= full for own, full in zip(level.shape[-2:], cells, strict=True))
        else:
            assert level.shape[-2:] == cells
    coarsest = found["pyramid"][strides[-1]]
    assert found["tokens"].shape[1] == coarsest[0, 0].numel()  # the grid of the last map, row by row
    assert all(tensor.isfinite().all() for tensor in flat(found).values())


@each_tiny
def test_tokens_are_row_major(tiny: dict[str, Any]) -> None:
    """A change in the last row of the picture moves the last token more than the first one."""
    model, x = build(tiny), images(tiny, 1, size=1)
    changed = x.clone()
    changed[..., -4:, -4:] += 3
    moved = (model(changed)["tokens"] - model(x)["tokens"]).norm(dim=-1)[0]
    assert moved[-1] > moved[0]


@each_pair
@torch.no_grad()
def test_a_pair_compares_images_with_texts(tiny: dict[str, Any]) -> None:
    """Without texts it is its image tower; with texts, logits are their similarity, and probabilities follow them."""
    model, x, words = build(tiny), images(tiny), texts(tiny)
    alone, found = model(x), model(x, **words)
    assert "logits" not in alone
    assert "text_embeddings" not in alone
    assert_same(alone, model.image(x), atol=0, rtol=0)
    assert_same({key: found[key] for key in alone}, alone, atol=0, rtol=0)
    torch.testing.assert_close(found["text_embeddings"], model.encode_text(**words))
    torch.testing.assert_close(found["logits"], model.similarity(found["embeddings"], found["text_embeddings"]))
    probabilities = model.probabilities(found["logits"])
    assert probabilities.shape == (2, 3)
    assert 0 <= probabilities.min() <= probabilities.max() <= 1
    assert (probabilities.argsort(-1) == found["logits"].argsort(-1)).all()
    assert model.context_length == tiny["texts"]["length"]
    with pytest.raises(InputError, match=rf"at most {model.context_length} tokens"):
        model.encode_text(words["input_ids"].repeat(1, 2))


@each_backbone
def test_logits_follow_the_head(tiny: dict[str, Any]) -> None:
    model, x = build(tiny, num_classes=0), images(tiny)
    found = model(x)
    assert "logits" not in found
    assert isinstance(model.head, nn.Identity)
    model.head = nn.Linear(found["embeddings"].shape[1], 7)
    torch.testing.assert_close(model(x)["logits"], model.head(found["embeddings"]))


@each_tiny
def test_only_what_is_wanted_is_returned(tiny: dict[str, Any]) -> None:
    model, x, words = build(tiny), images(tiny), texts(tiny)
    everything = model(x, **words)
    for key in everything:
        alone = model(x, **words, outputs=(key,))
        assert list(alone) == [key]
        # The last block of a transformer computes fewer tokens for these: the same products, of other shapes.
        tolerance = 1e-5 if key in ("embeddings", "logits", "aux") else 0.0
        assert_same(alone[key], everything[key], atol=tolerance, rtol=tolerance)
    with pytest.raises(InputError, match=r"'embedings' \(did you mean 'embeddings'\?\)"):
        model(x, outputs=("embedings",))


@each_tiny
def test_attentions_are_distributions(tiny: dict[str, Any]) -> None:
    model, x = build(tiny), images(tiny)
    plain, found = model(x), model(x, output_attentions=True)
    for weights in found.get("attentions", []):
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert_same({key: found[key] for key in plain}, plain, atol=1e-5, rtol=1e-5)


@each_tiny
@torch.no_grad()
def test_a_batch_equals_its_images(tiny: dict[str, Any]) -> None:
    model, x = build(tiny), images(tiny, 3)
    together = flat(model(x))
    for index in range(3):
        alone = flat(model(x[index : index + 1]))
        for path, tensor in together.items():
            torch.testing.assert_close(alone[path][0], tensor[index], atol=1e-5, rtol=1e-5)


@each_tiny
def test_a_wrong_image_is_named(tiny: dict[str, Any]) -> None:
    """Any size that a model does not take is refused with its figures; every other one gives finite numbers."""
    model = build(tiny)
    for height in range(30, 36):
        try:
            found = model(torch.randn(1, 3, height, 33))
        except InputError as error:
            assert f"{height}x33" in str(error)  # noqa: PT017
        else:
            assert found["embeddings"].isfinite().all()


# -- gradients ---------------------------------------------------------------------------------------------------------


def loss(found: Any) -> Tensor:
    return sum(tensor.float().square().mean() for tensor in flat(found).values())  # type: ignore[return-value]


@each_tiny
def test_gradients_reach_every_parameter(tiny: dict[str, Any]) -> None:
    model = build(tiny).train()
    loss(model(images(tiny, 4), **texts(tiny), outputs=("logits",))).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert set(without) <= set(model.optional_keys)


@each_tiny
def test_checkpointing_changes_nothing(tiny: dict[str, Any]) -> None:
    results = []
    for checkpointing in (False, True):
        model = build(tiny)
        model.gradient_checkpointing = checkpointing
        found = model(images(tiny), **texts(tiny))
        loss(found).backward()
        results.append((found, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
    assert_same(*(found for found, _ in results), atol=0, rtol=0)
    assert_same(*(gradients for _, gradients in results), atol=1e-6, rtol=1e-5)


@each_tiny
def test_checkpointing_keeps_fewer_activations(tiny: dict[str, Any]) -> None:
    kept = []
    for checkpointing in (False, True):
        model, count = build(tiny), [0]
        model.gradient_checkpointing = checkpointing

        def pack(tensor: Tensor, count: list[int] = count) -> Tensor:
            count[0] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(images(tiny), **texts(tiny), outputs=("logits",))
        kept.append(count[0])
    assert kept[1] < 0.8 * kept[0]


# -- compilers and types -----------------------------------------------------------------------------------------------


@each_tiny
@torch.no_grad()
def test_compiles_as_one_graph(tiny: dict[str, Any]) -> None:
    """Anew for each size; that a changing size becomes a symbol is slow to try, and tried by the next test."""
    assert_compiles(tiny, (0, 1), dynamic=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@each_tiny
@torch.no_grad()
def test_compiles_for_changing_sizes(tiny: dict[str, Any]) -> None:
    assert_compiles(tiny, (0, 1, 0), dynamic=None)


def assert_compiles(tiny: dict[str, Any], sizes: tuple[int, ...], dynamic: bool | None) -> None:
    torch._dynamo.reset()
    model = build(tiny)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for size in sizes:
        x, words = images(tiny, size=size), texts(tiny)
        assert_same(compiled(x, **words), model(x, **words), atol=1e-5, rtol=1e-5)


@each_tiny
@torch.no_grad()
def test_exports_with_any_batch(tiny: dict[str, Any]) -> None:
    model, x = build(tiny), images(tiny, 2)
    kwargs = {**texts(tiny), "outputs": answers(tiny)}
    shapes: dict[str, Any] = {"images": {0: torch.export.Dim("batch", min=1, max=64)}}
    if "texts" in tiny:
        shapes["input_ids"] = {0: torch.export.Dim("texts", min=1, max=64)}
    shapes["outputs"] = (None,) * len(kwargs["outputs"])
    program = torch.export.export(model, (x,), kwargs, dynamic_shapes=shapes)
    for size in (1, 2, 5):
        x, kwargs = images(tiny, size), {**kwargs, **texts(tiny, size + 1)}
        assert_same(program.module()(x, **kwargs), model(x, **kwargs), atol=1e-5, rtol=1e-5)


@each_tiny
@torch.no_grad()
def test_runs_in_bfloat16(tiny: dict[str, Any]) -> None:
    model, x, words = build(tiny), images(tiny), texts(tiny)
    exact = model(x, **words)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(x, **words)
    found = model.bfloat16()(x.bfloat16(), **words)
    assert {tensor.dtype for tensor in flat(found).values()} == {torch.bfloat16}
    for key in {"embeddings", "text_embeddings"} & exact.keys():
        for rounded in (mixed[key].float(), found[key].float()):
            assert nn.functional.cosine_similarity(rounded, exact[key]).min() > 0.995


# -- saving and loading ------------------------------------------------------------------------------------------------


@each_tiny
@torch.no_grad()
def test_saving_and_loading_is_exact(tiny: dict[str, Any], tmp_path: Path) -> None:
    model, x, words = build(tiny), images(tiny), texts(tiny)
    if "texts" not in tiny:
        model.labels = tuple(f"class {index}" for index in range(model.config.num_classes))
    model.preprocess = PreprocessSpec(resize=40, crop=(32, 32))
    loaded = type(model).from_pretrained(model.save_pretrained(tmp_path / "model"))
    assert (loaded.config, loaded.preprocess, loaded.labels) == (model.config, model.preprocess, model.labels)
    assert not loaded.training
    assert loaded.digest() == model.digest()
    assert_same(loaded(x, **words), model(x, **words), atol=0, rtol=0)
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]


@each_backbone
@torch.no_grad()
def test_a_new_head_is_recorded(tiny: dict[str, Any], tmp_path: Path) -> None:
    model, x = build(tiny), images(tiny)
    model.labels = tuple(f"class {index}" for index in range(model.config.num_classes))
    model.head = nn.Linear(model.head.in_features, 9)
    loaded = load_model(model.save_pretrained(tmp_path))
    assert loaded.config.num_classes == 9
    assert loaded.labels is None  # they named the old head's outputs
    assert_same(loaded(x), model(x), atol=0, rtol=0)
    model.head = nn.Sequential(nn.Linear(model.head.in_features, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ConfigError, match="head is a Sequential; only a Linear"):
        model.save_pretrained(tmp_path / "other")


@each_backbone
@torch.no_grad()
def test_dropped_paths_follow_the_samples_seeds(tiny: dict[str, Any]) -> None:
    """And no branch shares its module with another one: it would share its choices. Some families drop none."""
    model, x, seeds = build(tiny), images(tiny, batch=4), torch.arange(4)
    drops = "drop_path" in repr(model.config)
    paths = [module for module in model.modules() if isinstance(module, DropPath)] if drops else []
    calls: list[nn.Module] = []
    for path in paths:
        path.rate = 0.5
        path.train().register_forward_pre_hook(lambda module, _: calls.append(module))
    seed_drop_path(model, seeds)
    whole = model(x, outputs=("embeddings",))
    assert len(set(calls)) == len(calls)
    for half in (slice(0, 2), slice(2, 4)):
        seed_drop_path(model, seeds[half])
        expected = {"embeddings": whole["embeddings"][half]}
        assert_same(model(x[half], outputs=("embeddings",)), expected, atol=1e-4, rtol=1e-4)


@each_tiny
def test_a_wrong_checkpoint_names_every_key(tiny: dict[str, Any]) -> None:
    model = build(tiny)
    state = model.state_dict()
    lost = [key for key in state if key not in model.optional_keys][:3]
    wrong = {key: tensor for key, tensor in state.items() if key not in lost}
    wrong |= {"extra.weight": torch.zeros(2), "other.bias": torch.zeros(3)}
    reshaped = next(key for key in wrong if wrong[key].ndim > 1)
    wrong[reshaped] = torch.zeros(1)
    with pytest.raises(CheckpointMismatchError) as caught:
        model.load_tensors(wrong, "the file")
    assert caught.value.missing == sorted(lost)
    assert caught.value.unexpected == ["extra.weight", "other.bias"]
    assert [key for key, _, _ in caught.value.reshaped] == [reshaped]
    assert all(key in str(caught.value) for key in [*lost, "extra.weight", "other.bias", reshaped])


@each_tiny
def test_a_checkpoint_of_another_family_is_refused(tiny: dict[str, Any]) -> None:
    family, _ = registry.family_of(class_name=tiny["class_name"])
    with pytest.raises(WeightsError, match="in none of the layouts"):
        load_converted(build(tiny), {"tower.weight": torch.zeros(2)}, family.name, "the file")


@each_tiny
@torch.no_grad()
def test_own_checkpoint_files_load(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_pretrained(name, weights=file)` reads a file in the family's own layout, without its optional keys."""
    model = build(tiny)
    family, _ = registry.family_of(class_name=tiny["class_name"])
    variant = registry.Variant(name="tiny", family=family.name, class_name=tiny["class_name"], config=tiny["config"])
    monkeypatch.setattr(registry, "variant", lambda _: variant)
    state = {key: tensor for key, tensor in model.state_dict().items() if key not in model.optional_keys}
    save_file(state, tmp_path / "file.safetensors")
    loaded = type(model).from_pretrained("tiny", weights=tmp_path / "file.safetensors")
    assert loaded.variant == "tiny"
    assert loaded.digest() == model.digest()
    assert_same(loaded(images(tiny)), model(images(tiny)), atol=0, rtol=0)


# -- variants ----------------------------------------------------------------------------------------------------------


def on_meta(name: str) -> NexusModule:
    variant = registry.variant(name)
    with torch.device("meta"):
        return registry.model_class(variant.class_name)(variant.config).eval()


@pytest.mark.parametrize("name", registry.list_models())
def test_every_variant_fits_its_references(name: str) -> None:
    """Built on the meta device, and every full-size state dict of another library maps key for key, shape for shape."""
    family = registry.variant(name).family
    states = full_size_states(registry.variant(name))
    outside = not FAMILIES[family].package.startswith("nexus.")
    assert states or outside, f"tests/contract/family_references.py has no reference for {name}"
    assert on_meta(name).state_dict()
    for library, shapes in states.items():
        state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        load_converted(on_meta(name), state, family, f"{library}'s {name}")


@pytest.mark.parametrize("name", registry.list_models())
def test_the_data_of_every_variant_fit_its_model(name: str) -> None:
    """Its preprocess spec gives a size that the model takes, and its labels are as many as its logits."""
    variant = registry.variant(name)
    size = PreprocessSpec.parse(variant.preprocess).size
    found = on_meta(name)(torch.empty(1, 3, *size, device="meta"), outputs=("embeddings", "logits"))
    assert found["embeddings"].shape[0] == 1
    if variant.labels:
        assert found["logits"].shape == (1, len(load_labels(variant.labels)))


@pytest.mark.parametrize("name", registry.list_models())
def test_nothing_is_loaded_from_nowhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline and with an empty cache, asking for weights ends at once with an error of ours."""
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    with pytest.raises(NexusError):
        load_model(name)
