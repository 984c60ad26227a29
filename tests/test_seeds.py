"""Seeds that depend on what they are for."""

from __future__ import annotations

import numpy as np

from nexus._seeds import generator, mixed, sample_seeds


def test_splitmix64_is_the_published_one() -> None:
    """The first outputs of Vigna's reference code from state 1234567."""
    states = np.uint64(1234567) + np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mixed(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_sample_has_its_own_seed_whoever_asks() -> None:
    whole = sample_seeds(3, 5, range(1000))
    assert sample_seeds(3, 5, [17, 4]).tolist() == [whole[17], whole[4]]
    assert len({*whole, *sample_seeds(3, 6, range(1000)), *sample_seeds(4, 5, range(1000))}) == 3000
    assert (whole >= 0).all()


def test_generators_of_equal_seeds_agree() -> None:
    assert generator(1, 2).random() == generator(1, 2).random() != generator(2, 1).random()
