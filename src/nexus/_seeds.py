"""Random numbers that depend on what they are for, never on who draws them.

A sample's augmentation, its masks and its dropped paths follow from (run, epoch, sample) alone, so that a run gives the
same numbers on one process or on many, in any order, and after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["generator", "mixed", "sample_seeds"]

GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def sample_seeds(seed: int, epoch: int, samples: Iterable[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one seed, 0 <= seed < 2**63, for each sample in one epoch of a run.

    Args:
        seed: of the run.
        epoch: 0 is the first.
        samples: numbers of the samples in the dataset.
    """
    import numpy as np

    numbers = np.asarray(samples if hasattr(samples, "__len__") else list(samples), dtype=np.uint64)
    start = mixed(mixed(np.uint64(seed)) ^ np.uint64(epoch))
    seeds: NDArray[np.int64] = (mixed(mixed(start ^ numbers)) >> np.uint64(1)).astype(np.int64)
    return seeds


def mixed(values: Any) -> Any:
    """Return the values of unsigned 64-bit integers after SplitMix64's step and finaliser (Steele et al. 2014).

    Args:
        values: a NumPy scalar or array, uint64.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        z = values + np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
        return z ^ (z >> np.uint64(31))


def generator(*seeds: int) -> np.random.Generator:
    """Return NumPy's generator for a tuple of seeds; it starts in about 10 microseconds."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([abs(int(seed)) for seed in seeds])))
