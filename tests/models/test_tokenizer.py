"""Tokenizers of folders and variants: read from whatever files there are, saved in one, made at the first text."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nexus.errors import ConfigError, InputError, MissingDependencyError, WeightsError
from nexus.models.cv import CLIP
from nexus.models.image_text import ImageTextModule
from nexus.models.loading import load_model
from nexus.models.tokenizer import Tokenizer, byte_pairs, tokenizer_from_folder

START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY = {"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4, START: 5, END: 6}
MERGES = ["a b</w>"]

TEXT = {"context_length": 5, "vocab_size": 7, "embed_dim": 8, "num_layers": 1, "num_heads": 2, "projection_dim": 8}
IMAGE = {"image_size": 16, "patch_size": 8, "embed_dim": 8, "num_layers": 1, "num_heads": 2, "projection_dim": 8}


def description() -> dict[str, Any]:
    return byte_pairs(VOCABULARY, MERGES)


def tokenizer(length: int = 5, pad_token: str | None = END) -> Tokenizer:
    return Tokenizer(description, length=length, pad_token=pad_token)


def write(folder: Path, **files: Any) -> Path:
    """Write a tokenizer's files; a name's dot is written as an underscore."""
    for name, content in files.items():
        path = folder / name.replace("_txt", ".txt").replace("_json", ".json")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_texts_become_rows_of_one_length() -> None:
    found = tokenizer()(["ab b", "a", "", "ab ab ab ab ab"])
    assert found.dtype == torch.int64
    assert found.tolist() == [[5, 4, 3, 6, 6], [5, 2, 6, 6, 6], [5, 6, 6, 6, 6], [5, 4, 4, 4, 6]]
    assert tokenizer()("ab").tolist() == [[5, 4, 6, 6, 6]]
    assert tokenizer()([]).shape == (0, 5)


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(InputError, match="holds 3, a int"):
        tokenizer()(["a", 3])  # type: ignore[list-item]


@pytest.mark.parametrize("pad", [END, {"content": END, "lstrip": False}])
def test_files_of_a_folder(pad: Any, tmp_path: Path) -> None:
    """A tokenizer.json is preferred to the older files; both give the same, also after the files are gone."""
    expected = tokenizer(4)(["ab b", "a"])
    merges = "#version: 0.2\n" + "\n".join(MERGES) + "\n"
    config = {"pad_token": pad}
    old = tokenizer_from_folder(
        write(tmp_path, vocab_json=VOCABULARY, merges_txt=merges, tokenizer_config_json=config), 4
    )
    new = tokenizer_from_folder(write(tmp_path, tokenizer_json=description(), vocab_json="spoiled"), 4)
    for file in tmp_path.iterdir():
        file.unlink()
    for found in (old, new):
        assert found is not None
        assert torch.equal(found(["ab b", "a"]), expected)
    assert tokenizer_from_folder(tmp_path, 4) is None


def test_what_a_folder_does_not_say_is_named_at_the_first_text(tmp_path: Path) -> None:
    found = tokenizer_from_folder(write(tmp_path, tokenizer_json=description()), 4)
    assert found is not None
    with pytest.raises(ConfigError, match=r"which token pads.*tokenizer_config\.json"):
        found("a")
    found = tokenizer_from_folder(write(tmp_path, tokenizer_json="{spoiled"), 4)
    assert found is not None
    with pytest.raises(WeightsError, match=r"tokenizer\.json cannot be read"):
        found("a")


def test_saved_with_the_model(tmp_path: Path) -> None:
    model = CLIP({"image": IMAGE, "text": TEXT})
    model.tokenizer = tokenizer()
    loaded = load_model(model.save_pretrained(tmp_path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert isinstance(loaded, ImageTextModule)
    assert loaded.tokenizer is not None
    assert loaded.tokenizer.description == model.tokenizer.description
    assert torch.equal(loaded.tokenizer(["ab b"]), model.tokenizer(["ab b"]))
    again = load_model(loaded.save_pretrained(tmp_path / "again"))
    assert again.tokenizer is not None
    assert again.tokenizer.to_json() == loaded.tokenizer.to_json()


def test_copies_tokenise_alike() -> None:
    used = tokenizer()
    used("ab")
    for found in (copy.deepcopy(used), pickle.loads(pickle.dumps(used))):
        assert torch.equal(found("ab b"), used("ab b"))


def test_without_the_library_only_texts_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CLIP({"image": IMAGE, "text": TEXT})
    model.tokenizer = tokenizer()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    loaded = load_model(model.save_pretrained(tmp_path))
    assert loaded.tokenizer is not None
    with pytest.raises(MissingDependencyError, match=r"nexus-vision\[text\]"):
        loaded.tokenizer("a")
