from __future__ import annotations

import pytest

from nexus import registry
from nexus.errors import ConfigError, UnknownNameError


def test_models_are_listed_by_pattern() -> None:
    names = registry.list_models()
    assert names == sorted(set(names))
    assert "dinov2_vits14" in registry.list_models("dino*")
    assert all(name.startswith("dino") for name in registry.list_models("dino*"))


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no model is called 'dinov2_vits41' \(did you mean 'dinov2_vits14'\?\)"
    ):
        registry.variant("dinov2_vits41")
    with pytest.raises(UnknownNameError, match="no family has the model class 'DINOv3'"):
        registry.model_class("DINOv3")
    with pytest.raises(UnknownNameError, match="no family has the Hugging Face model_type 'dinov9'"):
        registry.family_of(huggingface="dinov9")


def test_a_folder_that_is_no_family_is_refused(tmp_path: object) -> None:
    with pytest.raises(ConfigError, match=r"is not a family folder: it has no __init__\.py"):
        registry.register(str(tmp_path))


NOT_PUBLISHED = {
    *(f"hivit_{size}" for size in ("tiny", "small", "base")),
    *(f"mobile_former_{size}m" for size in (26, 52, 96, 151, 214, 294, 508)),
}
"""Sizes of which the authors publish no weights, or none behind an address that a program can fetch."""


@pytest.mark.parametrize("name", registry.list_models())
def test_variants_are_literals_that_parse(name: str) -> None:
    from nexus import hub
    from nexus.transforms.preprocess import PreprocessSpec

    variant = registry.variant(name)
    assert registry.model_class(variant.class_name).Config.parse(variant.config)
    assert PreprocessSpec.parse(variant.preprocess)
    sources = [hub.parse_source(source) for source in variant.weights]
    assert bool(sources) == (name not in NOT_PUBLISHED)


def test_a_citation_is_bibtex() -> None:
    stated = {"title": "Rethinking: a Test", "authors": ("Zoë de Åkesson", "others"), "year": 2024}
    paper = registry.Citation.parse({**stated, "arxiv": "2401.01234"})
    assert paper.bibtex().splitlines() == [
        "@misc{akesson2024rethinking,",
        "  title = {{Rethinking: a Test}},",
        "  author = {Zoë de Åkesson and others},",
        "  year = {2024},",
        "  eprint = {2401.01234},",
        "  archivePrefix = {arXiv},",
        "}",
    ]
    published = registry.Citation.parse({**stated, "url": "https://example.org/paper.pdf", "venue": "CVPR"})
    assert published.bibtex().startswith("@inproceedings{")
    assert "  booktitle = {CVPR}," in published.bibtex()
    with pytest.raises(ConfigError, match="neither arxiv nor url"):
        registry.Citation.parse(stated)
    with pytest.raises(ConfigError, match=r"arxiv = '2401\.0'"):
        registry.Citation.parse({**stated, "arxiv": "2401.0"})
