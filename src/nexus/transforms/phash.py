"""Perceptual hash: 64 bits that change little when a picture is resized, recompressed or slightly recoloured."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["hamming_distance", "perceptual_hash"]

SIDE, KEPT = 32, 8

# Orthonormal DCT-II, the KEPT lowest frequencies: row k is cos(pi k (2 n + 1) / (2 N)).
_DCT = np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(KEPT), 2 * np.arange(SIDE) + 1)) * np.sqrt(2 / SIDE)
_DCT[0] /= np.sqrt(2)


def perceptual_hash(image: Image.Image) -> int:
    """Return the 64-bit DCT hash of a picture.

    The picture becomes 32 x 32 grey, whatever its aspect; of its two-dimensional DCT-II the 8 x 8 lowest frequencies
    are kept, and each bit says whether a coefficient exceeds their median (C. Zauner, "Implementation and Benchmarking
    of Perceptual Image Hash Functions", 2010, section 3.2.1). Bit 63 is the constant term. Flips and turns change it.

    Args:
        image: upright RGB, of any size.
    """
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0).convert("L")
    low = _DCT @ np.asarray(small, np.float64) @ _DCT.T
    # Rounded, so that the residue of flat areas (1e-14) does not decide bits.
    low = low.round(6)
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def hamming_distance(a: np.ndarray | int, b: np.ndarray | int) -> np.ndarray:
    """Return the number of differing bits (0..64, uint8), elementwise and broadcast.

    Args:
        a, b: hashes as ints or uint64 arrays.
    """
    return np.asarray(np.bitwise_count(np.asarray(a, np.uint64) ^ np.asarray(b, np.uint64)))
