"""Values as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["colourize"]

# Dark to light with luma rising in even steps, so that the order survives in grey and for colour-blind readers.
_STOPS = np.array(
    [[20, 18, 52], [43, 44, 122], [29, 88, 150], [22, 128, 146], [62, 163, 125], [143, 192, 92], [250, 226, 116]],
    dtype=np.float64,
)


def colourize(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return values of 0..1 (clipped) as (..., 3) colours from dark blue to light yellow."""
    place = np.clip(np.asarray(values, dtype=np.float64), 0, 1) * (len(_STOPS) - 1)
    steps = np.arange(len(_STOPS))
    channels = [np.interp(place, steps, _STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
