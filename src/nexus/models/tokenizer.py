"""Texts to the token numbers that a model reads: one small object over the `tokenizers` library.

Whatever the files of a model are, they become one description, the contents of a ``tokenizer.json`` of that library,
in which padding and truncation to the model's context length are stated too. It is saved beside the weights.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nexus import hub
from nexus.assets import VOCABULARIES
from nexus.errors import ConfigError, InputError, WeightsError, require
from nexus.models.sentencepiece import described_by_pieces

__all__ = ["Tokenizer", "byte_pairs", "tokenizer_from_folder", "tokenizer_of_variant"]

Description = Mapping[str, Any]
"""The parsed contents of a ``tokenizer.json``."""


class Tokenizer:
    """Turns texts into token numbers.

    Nothing is read, and `tokenizers` is not imported, before the first text.

    Args:
        read: returns the contents of a ``tokenizer.json``.
        length: tokens per text T, the model's context length; longer texts are cut, shorter ones padded.
        pad_token: what they are padded with; None: what the description itself states.
        lowercase: lower-case texts first, also where the description does not say so.
    """

    def __init__(
        self,
        read: Callable[[], Description],
        *,
        length: int,
        pad_token: str | None = None,
        lowercase: bool = False,
    ) -> None:
        self._read, self.length, self._pad_token, self._lowercase = read, length, pad_token, lowercase

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Tokenise.

        Args:
            texts: one text, or K of them.

        Returns:
            (K, T) int64, start and end tokens included.

        Raises:
            InputError: something among them is not a text.
            MissingDependencyError: `tokenizers` is not installed.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        for text in texts:
            if not isinstance(text, str):
                raise InputError(f"texts holds {text!r}, a {type(text).__name__}, not a text")
        rows = [encoding.ids for encoding in self._backend.encode_batch(texts)]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(texts), self.length)

    @cached_property
    def description(self) -> dict[str, Any]:
        """The contents of a ``tokenizer.json`` that says all of it, padding and truncation included.

        Raises:
            ConfigError: nothing says what short texts are padded with.
        """
        read = dict(self._read())
        token = self._pad_token or (read.get("padding") or {}).get("pad_token")
        number = token_number(read, token) if token else None
        if number is None:
            raise ConfigError(
                f"the tokenizer does not say which token pads short texts (pad_token = {token!r}); a Hugging Face "
                "folder states it in its tokenizer_config.json"
            )
        padding = {"strategy": {"Fixed": self.length}, "direction": "Right", "pad_to_multiple_of": None}
        read["padding"] = {**padding, "pad_id": number, "pad_type_id": 0, "pad_token": token}
        read["truncation"] = {
            "direction": "Right",
            "max_length": self.length,
            "strategy": "LongestFirst",
            "stride": 0,
        }
        if self._lowercase:
            read["normalizer"] = lowercased(read.get("normalizer"))
        return read

    def to_json(self) -> str:
        """Return the text of the ``tokenizer.json`` that `save_pretrained` writes."""
        return json.dumps(self.description, ensure_ascii=False)

    @cached_property
    def _backend(self) -> Any:
        tokenizers = require("tokenizers", extra="text")
        return tokenizers.Tokenizer.from_str(self.to_json())


def tokenizer_of_variant(stated: Mapping[str, Any], length: int, *, lowercase: bool = False) -> Tokenizer:
    """Return the tokenizer that a variant states.

    Args:
        stated: `Variant.tokenizer`: ``{"kind": "asset", "file": "clip_bpe.txt.gz", "pad_token": ...}``, merges that are
            shipped (`nexus.assets`); or ``{"kind": "huggingface", "repository": ..., "file": "tokenizer.json",
            "pad_token": ...}``, fetched when the first text is tokenised.
        length: the model's context length.
        lowercase: see `Tokenizer`.
    """
    source = {key: value for key, value in stated.items() if key != "pad_token"}
    read = partial(read_merges, source["file"]) if source["kind"] == "asset" else partial(read_fetched, source)
    return Tokenizer(read, length=length, pad_token=stated["pad_token"], lowercase=lowercase)


def tokenizer_from_folder(folder: Path, length: int, *, lowercase: bool = False) -> Tokenizer | None:
    """Return the tokenizer of a folder of ours or of Hugging Face; None where it has none.

    Args:
        folder: with ``spiece.model``, else ``tokenizer.json``, else ``vocab.json`` and ``merges.txt``; a
            ``tokenizer_config.json`` beside them says what pads.
        length: the model's context length.
        lowercase: see `Tokenizer`.
    """
    for name, read in READERS.items():
        if (folder / name).is_file():
            stated = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
            pad = stated.get("pad_token")
            pad_token = pad["content"] if isinstance(pad, dict) else pad
            return Tokenizer(read(folder / name), length=length, pad_token=pad_token, lowercase=lowercase)
    return None


# -- what the files of a tokenizer hold --------------------------------------------------------------------------------


def described_in(path: Path) -> Callable[[], Description]:
    """Take a ``tokenizer.json``. Its text is kept, so that the file may vanish before the first text comes."""
    return partial(parse_json, path.read_text("utf-8"), str(path))


def described_by_merges(path: Path) -> Callable[[], Description]:
    """Take a ``vocab.json`` and the ``merges.txt`` beside it."""
    vocabulary, merges = path.read_text("utf-8"), (path.parent / "merges.txt").read_text("utf-8").splitlines()
    pairs = [line for line in merges if line and not line.startswith("#version")]
    return partial(byte_pairs, parse_json(vocabulary, str(path)), pairs)


def described_by_spiece(path: Path) -> Callable[[], Description]:
    """Take a ``spiece.model``."""
    return partial(described_by_pieces, path.read_bytes(), str(path))


READERS: dict[str, Callable[[Path], Callable[[], Description]]] = {
    "spiece.model": described_by_spiece,  # what transformers reads for SigLIP, also where there is a tokenizer.json
    "tokenizer.json": described_in,
    "vocab.json": described_by_merges,
}
"""File -> what reads it, in order of preference."""


def read_fetched(source: Mapping[str, Any]) -> Description:
    path = hub.fetch_file(source)
    return READERS[path.name](path)()


def read_merges(file: str) -> Description:
    """Read a shipped list of merges. The order of the vocabulary follows from it, as in openai/CLIP's own tokenizer."""
    merges = gzip.decompress((VOCABULARIES / file).read_bytes()).decode().splitlines()
    letters = byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    return byte_pairs({word: number for number, word in enumerate([*words, START, END])}, merges)


def byte_letters() -> list[str]:
    """The printable characters that stand for the 256 bytes (Radford et al. 2019): those that are printable stand for
    themselves and come first, the others for the characters from number 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]


# -- CLIP's byte pairs -------------------------------------------------------------------------------------------------

START, END = "<|startoftext|>", "<|endoftext|>"

WORDS = rf"{re.escape(START)}|{re.escape(END)}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"
"""What is a word: contractions, runs of letters, single digits, runs of anything else."""


def byte_pairs(vocabulary: Mapping[str, int], merges: Sequence[str]) -> dict[str, Any]:
    """Describe CLIP's tokenizer (Radford et al. 2021, section 2.4): lower-cased byte pairs whose words end in ``</w>``.

    As `transformers.CLIPTokenizer` has it. The authors' own one also repairs broken encodings (`ftfy`) and unescapes
    HTML before.

    Args:
        vocabulary: token -> number.
        merges: ``"left right"``, the first merged first.
    """
    numbers = {token: vocabulary[token] for token in (START, END)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    split = {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": True}
    spaces = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    return {
        "version": "1.0",
        "added_tokens": [{"id": number, "content": token, **flags} for token, number in numbers.items()],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, spaces, {"type": "Lowercase"}]},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split, {**byte_level, "add_prefix_space": False}],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [END, numbers[END]],
            "cls": [START, numbers[START]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(vocabulary),
            "merges": [merge.split(" ") for merge in merges],
        },
    }


def lowercased(normalizer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Describe the same normalisation, after lower-casing."""
    first = {"type": "Lowercase"}
    if normalizer is None:
        return first
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    return normalizer if first in steps else {"type": "Sequence", "normalizers": [first, *steps]}


def token_number(description: Description, token: str) -> int | None:
    """The number of a token, among those that were added or in the vocabulary (a dict, or a list in order)."""
    for added in description.get("added_tokens") or ():
        if added["content"] == token:
            return int(added["id"])
    vocabulary = description["model"]["vocab"]
    if isinstance(vocabulary, Mapping):
        return vocabulary.get(token)
    return next((number for number, (word, _) in enumerate(vocabulary) if word == token), None)


def read_json(path: Path) -> dict[str, Any]:
    return parse_json(path.read_text("utf-8"), str(path))


def parse_json(text: str, source: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise WeightsError(f"{source} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{source} holds a {type(content).__name__}, not a JSON object")
    return content
