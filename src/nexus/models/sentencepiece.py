"""Tokenizers stored as a SentencePiece model (Kudo and Richardson 2018), as what the `tokenizers` library reads.

The file is a protocol buffer (`sentencepiece_model.proto` of google/sentencepiece). Four of its fields are needed here,
which is no reason to ask for two more libraries.
"""

from __future__ import annotations

import base64
import re
import string
import struct
from collections.abc import Iterator
from typing import Any

from nexus.errors import WeightsError

__all__ = ["described_by_pieces"]

END, UNKNOWN = "</s>", "<unk>"

PUNCTUATION = f"[{re.escape(string.punctuation)}]"

UNIGRAM = 1
"""`TrainerSpec.model_type` of the kind that is read here."""

UNKNOWN_PIECE = 2
"""`SentencePiece.type` of the piece that stands for what is not in the vocabulary."""


def described_by_pieces(content: bytes, source: str) -> dict[str, Any]:
    """Describe SigLIP's tokenizer, from its ``spiece.model``, as a ``tokenizer.json`` does.

    Texts are lower-cased, lose their ASCII punctuation and repeated spaces (`canonicalize_text` of google-research/
    big_vision), are normalised as the file says, cut into pieces by a unigram model, and ended and padded by ``</s>``.
    As `transformers.SiglipTokenizer` has it.

    Args:
        content: of the file.
        source: what to call it in an error.

    Raises:
        WeightsError: it is no SentencePiece model, or of another kind than unigram.
    """
    try:
        pieces, kind, charsmap = read_model(content)
    except (ValueError, IndexError, struct.error) as error:
        raise WeightsError(f"{source} cannot be read as a SentencePiece model: {error}") from None
    numbers = {piece: number for number, (piece, _, _) in enumerate(pieces)}
    unknown = next((number for number, (_, _, type_) in enumerate(pieces) if type_ == UNKNOWN_PIECE), None)
    if kind != UNIGRAM or unknown is None or END not in numbers:
        raise WeightsError(
            f"{source} is no SentencePiece model that is read here: a unigram model with an unknown token and {END!r}"
        )
    flags = {"single_word": False, "lstrip": True, "rstrip": True, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "padding": {"pad_token": END},
        "added_tokens": [
            {"id": number, "content": pieces[number][0], **flags} for number in sorted({unknown, numbers[END]})
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Lowercase"},
                {"type": "Replace", "pattern": {"Regex": PUNCTUATION}, "content": ""},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Strip", "strip_left": True, "strip_right": True},
                *([{"type": "Precompiled", "precompiled_charsmap": charsmap}] if charsmap else []),
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}}],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": END, "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
                {"SpecialToken": {"id": END, "type_id": 0}},
            ],
            "special_tokens": {END: {"id": END, "ids": [numbers[END]], "tokens": [END]}},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {
            "type": "Unigram",
            "unk_id": unknown,
            "vocab": [[piece, score] for piece, score, _ in pieces],
            "byte_fallback": False,
        },
    }


def read_model(content: bytes) -> tuple[list[tuple[str, float, int]], int, str]:
    """Return what a SentencePiece model holds: pieces (text, score, type), kind, normalisation in base64."""
    pieces, kind, charsmap = [], UNIGRAM, ""
    for field, value in fields(content):
        if field == 1:  # ModelProto.pieces
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0, piece.get(3, 1)))
        elif field == 2:  # ModelProto.trainer_spec
            kind = dict(fields(value)).get(3, UNIGRAM)
        elif field == 3:  # ModelProto.normalizer_spec
            charsmap = base64.b64encode(dict(fields(value)).get(2, b"")).decode()
    if not pieces:
        raise ValueError("it has no pieces")
    return pieces, kind, charsmap


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Give (number, value) of each field of a protocol buffer message: an int, or bytes where it is of another type."""
    place = 0
    while place < len(message):
        key, place = varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = varint(message, place)
            yield number, value
            continue
        if wire == 2:
            length, place = varint(message, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {place} belongs to no field")
        if place + length > len(message):
            raise ValueError("it ends too early")
        yield number, message[place : place + length]
        place += length


def varint(message: bytes, place: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, lowest first; return it and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            return value, place
