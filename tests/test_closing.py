from __future__ import annotations

import pytest

from nexus._closing import Closing


class Held(Closing):
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_a_block_closes() -> None:
    held = Held()
    with held as same:
        assert same is held
        assert not held.closed
    assert held.closed == 1


def test_an_error_closes_and_is_not_hidden() -> None:
    held = Held()
    with pytest.raises(ZeroDivisionError), held:
        raise ZeroDivisionError
    assert held.closed == 1
