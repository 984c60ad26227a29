"""Files of SentencePiece: what is not one, or is of a kind that is not read, is named."""

from __future__ import annotations

import struct

import pytest

from nexus.errors import WeightsError
from nexus.models.sentencepiece import described_by_pieces


def field(number: int, value: bytes | int | float) -> bytes:
    """One field of a protocol buffer message of less than 128 bytes."""
    if isinstance(value, bytes):
        return bytes([number << 3 | 2, len(value)]) + value
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    return bytes([number << 3, value])


def piece(text: str, score: float, kind: int = 1) -> bytes:
    return field(1, field(1, text.encode()) + field(2, score) + field(3, kind))


PIECES = piece("<pad>", 0.0, 3) + piece("</s>", 0.0, 3) + piece("<unk>", 0.0, 2) + piece("▁a", -1.5)


def test_pieces_become_a_vocabulary() -> None:
    found = described_by_pieces(PIECES, "spiece.model")
    assert found["model"]["vocab"] == [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁a", -1.5]]
    assert found["model"]["unk_id"] == 2
    assert [token["content"] for token in found["added_tokens"]] == ["</s>", "<unk>"]


@pytest.mark.parametrize("content", [b"", b"{}", PIECES[:-3], b"\xff" * 40, b"\x0b\x00"])
def test_what_is_no_sentencepiece_model_is_named(content: bytes) -> None:
    with pytest.raises(WeightsError, match=r"spiece\.model cannot be read as a SentencePiece model"):
        described_by_pieces(content, "spiece.model")


@pytest.mark.parametrize("content", [PIECES + field(2, field(3, 2)), piece("a", 0.0), piece("<unk>", 0.0, 2)])
def test_another_kind_is_named(content: bytes) -> None:
    """Byte pairs, no unknown token, no end."""
    with pytest.raises(WeightsError, match="a unigram model with an unknown token and '</s>'"):
        described_by_pieces(content, "spiece.model")
